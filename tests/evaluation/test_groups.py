import numpy as np
import pytest
from fairlearn.metrics import demographic_parity_difference, equalized_odds_difference

from tltool.evaluation.groups import group_scores

# Eight examples, four of each group.
LABELS = np.array([0, 0, 1, 1, 0, 1, 1, 1])
PREDICTED = np.array([0, 0, 1, 0, 1, 1, 1, 1])
GROUPS = np.array([0, 0, 0, 0, 1, 1, 1, 1])


def scores(labels=LABELS, predicted=PREDICTED, groups=GROUPS, classes=("no", "yes")):
    return group_scores("t", labels, predicted, groups, classes, ("old", "young"))


def test_figures_of_two_classes_by_hand():
    metrics, grids = scores()
    # old: 3 of 4 right, 1 of 4 selected, 1 of 2 yes found, 0 of 2 no mistaken;
    # young: 3 of 4 right, 4 of 4 selected, 3 of 3 yes found, 1 of 1 no mistaken.
    assert metrics == {
        "t/accuracy_gap": 0.0,
        "t/worst_group_accuracy": 0.75,
        "t/demographic_parity_difference": 0.75,
        "t/equalized_odds_difference": 1.0,
    }
    rates, predicted = grids
    assert rates.rows == predicted.rows == ("old (4)", "young (4)")
    assert rates.columns == ("all classes", "no", "yes")
    assert rates.values == ((0.75, 1.0, 0.5), (0.75, 0.0, 1.0))
    assert predicted.values == ((0.75, 0.25), (0.0, 1.0))


def test_figures_of_two_classes_are_those_of_fairlearn():
    rng = np.random.default_rng(0)
    labels, predicted, groups = rng.integers(0, 2, (3, 200))
    metrics, _ = scores(labels, predicted, groups)
    given = {"y_true": labels, "y_pred": predicted, "sensitive_features": groups}
    parity, odds = demographic_parity_difference(**given), equalized_odds_difference(**given)
    assert metrics["t/demographic_parity_difference"] == pytest.approx(parity)
    assert metrics["t/equalized_odds_difference"] == pytest.approx(odds)


def test_of_several_classes_the_one_that_differs_most_counts():
    labels = np.array([0, 1, 2, 2, 0, 1, 2, 2])
    predicted = np.array([0, 1, 2, 2, 0, 2, 2, 2])
    metrics, _ = scores(labels, predicted, classes=("a", "b", "c"))
    # Selected: a 1/4 and 1/4, b 1/4 and 0, c 2/4 and 3/4. Recall of b: 1 and 0.
    assert metrics["t/demographic_parity_difference"] == 0.25
    assert metrics["t/equalized_odds_difference"] == 1.0
    assert metrics["t/accuracy_gap"] == 0.25 and metrics["t/worst_group_accuracy"] == 0.75


def test_a_rate_of_no_example_is_left_out():
    metrics, (rates, _) = scores(labels=np.array([0, 0, 0, 0, 0, 1, 1, 1]))
    # Group old has no yes: recall of yes is young's alone. Mistaken no: 1 of 4 and 1 of 1.
    assert rates.values == ((0.75, 0.75, None), (0.75, 0.0, 1.0))
    assert metrics["t/equalized_odds_difference"] == 0.75


def test_unknown_groups_do_not_count():
    groups = np.where(np.arange(8) == 3, -1, GROUPS)  # the one mistake of group old
    assert scores(groups=groups)[0]["t/accuracy_gap"] == 0.25
    assert scores(groups=np.full(8, -1)) == ({}, ())
    metrics, _ = scores(groups=np.zeros(8, dtype=np.int64))
    assert metrics["t/demographic_parity_difference"] == 0.0  # one group: nothing to differ from
