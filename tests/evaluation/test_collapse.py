import numpy as np
import pytest

from tltool.evaluation.collapse import collapsed, effective_classes


@pytest.mark.parametrize(
    ("counts", "classes"),
    [([5, 5, 5, 5], 4.0), ([9, 0, 0, 0], 1.0), ([3, 3, 0, 0], 2.0), ([1, 3], 1.7548)],
)
def test_effective_classes_by_hand(counts, classes):
    assert effective_classes(np.array(counts)) == pytest.approx(classes, abs=1e-4)


@pytest.mark.parametrize(
    ("predicted", "labels", "found"),
    [
        ([10] * 10, [7] * 10, False),
        ([25, 25, 25, 25, 0, 0, 0, 0, 0, 0], [7] * 10, True),
        ([20] * 6 + [1] * 4, [7] * 10, False),  # most classes are there
        ([100, 1, 1, 1], [90, 5, 5, 5], False),  # the source is as uneven
        ([99, 1], [50, 50], False),
        ([1000, 1], [50, 50], True),
        ([30, 70], [50, 50], False),
    ],
)
def test_half_of_the_classes_is_a_collapse(predicted, labels, found):
    assert collapsed(np.array(predicted), np.array(labels)) is found
