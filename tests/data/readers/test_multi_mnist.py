from itertools import combinations

import numpy as np
import pytest

from tltool.data.readers.multi_mnist import MultiMnist, overlay


@pytest.fixture(autouse=True)
def read_once(mnist, monkeypatch):
    monkeypatch.setattr("tltool.data.readers.multi_mnist.digit_images", lambda name: mnist)


def digits_of(table) -> dict[str, set[int]]:
    """Returns the digits of each split, by number."""
    found: dict[str, set[int]] = {}
    for split, path in zip(table["split"], table["path"], strict=True):
        found.setdefault(split, set()).update(map(int, path.split("/")[1].split("+")))
    return found


def test_overlay_by_hand():
    left, right = np.zeros((2, 1, 28, 28), dtype=np.uint8)
    left[0, 0, 0], left[0, 20, 20] = 7, 100
    right[0, 27, 27], right[0, 12, 12] = 9, 200
    image = overlay(left, right)[0]
    assert image.shape == (36, 36)
    assert image[0, 0] == 7 and image[35, 35] == 9
    assert image[20, 20] == 200  # the brighter of 100 and 200: right lies 8 pixels lower
    assert (image > 0).sum() == 3


def test_no_digit_of_one_split_is_in_another():
    table = MultiMnist(pairs=5000).read()
    digits = digits_of(table)
    assert {name: len(of) for name, of in digits.items()} == {
        "train": 3500,
        "val": 500,
        "test": 1000,
    }
    for one, other in combinations(digits.values(), 2):
        assert not one & other
    assert len(set(table["path"])) == len(table) == 5000


def test_labels_are_those_of_the_digits_in_their_corners(mnist):
    table = MultiMnist(pairs=50).read()
    assert [table["split"].count(name) for name in ("train", "val", "test")] == [35, 5, 10]
    pixels, labels = mnist
    for row in table:
        left, right = map(int, row["path"].split("/")[1].split("+"))
        image = np.asarray(row["image"])
        assert (image[:8, :28] == pixels[left][:8]).all()
        assert (image[28:, 8:] == pixels[right][20:]).all()
        assert (row["label"], row["task:left"], row["task:right"]) == (
            labels[left],
            labels[left],
            labels[right],
        )


def test_one_seed_gives_one_set_of_pairs():
    first, again, other = (MultiMnist(pairs=20, seed=s).read()["path"] for s in (0, 0, 1))
    assert first[:] == again[:] != other[:]
    prints = {MultiMnist(pairs=p, seed=s).fingerprint() for p, s in ((20, 0), (20, 1), (30, 0))}
    assert len(prints) == 3


def test_problems_are_named():
    assert MultiMnist(pairs=9).problems() == ["dataset.pairs=9: an integer from 10 on"]
    assert MultiMnist(seed=-1).problems() == ["dataset.seed=-1: an integer from 0 on"]
    assert MultiMnist().problems() == []
