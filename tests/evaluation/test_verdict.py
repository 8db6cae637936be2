import numpy as np
import pytest

from tltool.evaluation.verdict import paired_interval, verdict


def answers(right: int, wrong: int) -> np.ndarray:
    return np.array([True] * right + [False] * wrong)


def both(gained: int, lost: int, same: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns answers of two models of which the first gains and loses so many examples."""
    ours = [True] * gained + [False] * lost + [True] * same
    control = [False] * gained + [True] * lost + [True] * same
    return np.array(ours), np.array(control)


def test_gain_by_hand():
    # 30 gained and 10 lost of 100: (30 - 10) / 100
    found = verdict("source_only", "target_test/accuracy", *both(30, 10, 60))
    assert found["gain"] == pytest.approx(0.2)
    low, high = found["interval"]
    # standard error: sqrt((0.3 + 0.1 - 0.2^2) / 100) = 0.06, so 0.2 ± 1.96 * 0.06
    assert (low, high) == (pytest.approx(0.0824, abs=0.015), pytest.approx(0.3176, abs=0.015))
    assert found["verdict"] == "positive"
    assert (found["control"], found["metric"]) == ("source_only", "target_test/accuracy")


@pytest.mark.parametrize(
    ("gained", "lost", "word"),
    [
        (40, 0, "positive"),
        (0, 40, "negative"),
        (10, 30, "negative"),
        (20, 20, "none"),
        (3, 1, "none"),  # 0.02 ± 0.04
        (0, 0, "none"),
    ],
)
def test_the_word_says_on_which_side_of_0_the_interval_lies(gained, lost, word):
    found = verdict("control", "accuracy", *both(gained, lost, 100 - gained - lost))
    low, high = found["interval"]
    assert found["verdict"] == word
    assert low <= found["gain"] <= high
    assert {"positive": low > 0, "negative": high < 0, "none": low <= 0 <= high}[word]


def test_equal_answers_leave_nothing_open():
    same = answers(70, 30)
    assert verdict("control", "accuracy", same, same)["interval"] == [0.0, 0.0]


def test_pairs_count_not_only_accuracies():
    # Both pairs gain 0.1; models that agree on most examples are compared more sharply.
    agree, disagree = both(10, 0, 90), both(50, 40, 10)
    widths = [high - low for low, high in (paired_interval(*agree), paired_interval(*disagree))]
    assert widths[0] < 0.5 * widths[1]


def test_a_higher_level_is_a_wider_interval_and_more_examples_a_narrower_one():
    low, high = paired_interval(*both(30, 10, 60))
    wide_low, wide_high = paired_interval(*both(30, 10, 60), level=0.99)
    assert wide_low < low < high < wide_high
    many_low, many_high = paired_interval(*both(3000, 1000, 6000))
    assert (many_high - many_low) == pytest.approx((high - low) / 10, rel=0.15)


def test_other_examples_cannot_be_compared():
    with pytest.raises(ValueError, match=r"not the same units: \(3,\) and \(2,\)"):
        paired_interval(answers(3, 0), answers(2, 0))
