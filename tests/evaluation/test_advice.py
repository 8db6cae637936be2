from dataclasses import replace

import pytest

from tltool.evaluation.advice import LARGE_PER_CLASS, Evidence, advise

SMALL_AND_SIMILAR = Evidence(
    per_class=20,
    pretrained=True,
    unlabelled_target=False,
    knn=0.95,
    scratch=0.55,
    majority=0.5,
    interval=(0.3, 0.5),
)
LARGE = {"per_class": LARGE_PER_CLASS}
DISTANT = {"knn": 0.65, "interval": (0.02, 0.18)}
USELESS = {"knn": 0.56, "interval": (-0.05, 0.07)}


@pytest.mark.parametrize(
    ("changes", "rule", "strategy"),
    [
        ({}, "small and similar", "linear_probe"),
        (LARGE, "large and similar", "lp_ft"),
        (DISTANT, "small and distant", "discriminative"),
        (USELESS, "small and distant", "discriminative"),
        ({**LARGE, **DISTANT}, "large and distant", "discriminative"),
        ({**LARGE, **USELESS}, "large and unrelated", "from_scratch"),
        ({"pretrained": False}, "no pretrained weights", "from_scratch"),
        ({"unlabelled_target": True}, "unlabelled target", "dann"),
        ({"unlabelled_target": True, "pretrained": False}, "unlabelled target", "dann"),
    ],
)
def test_each_rule(changes, rule, strategy):
    advice = advise(replace(SMALL_AND_SIMILAR, **changes))
    assert (advice.rule, advice.strategy) == (rule, strategy)
    assert strategy not in advice.alternatives


def test_errors_removed_by_hand():
    assert SMALL_AND_SIMILAR.errors_removed == pytest.approx((0.95 - 0.55) / 0.45)
    # Naming the largest class is the better baseline here.
    assert replace(SMALL_AND_SIMILAR, majority=0.9).errors_removed == pytest.approx(0.5)
    assert replace(SMALL_AND_SIMILAR, scratch=1.0).errors_removed == 0.0
    assert replace(SMALL_AND_SIMILAR, knn=0.1).errors_removed == pytest.approx(-1.0)


def test_what_may_be_chance_is_not_similar():
    assert SMALL_AND_SIMILAR.similar
    assert not replace(SMALL_AND_SIMILAR, knn=0.55 + 0.45 * 0.67).similar
    assert not replace(SMALL_AND_SIMILAR, interval=(-0.01, 0.8)).similar
