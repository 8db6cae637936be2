"""Each validator against a value worked out by hand, and what it can and cannot see."""

import math

import pytest
import torch
from torch import Tensor

from tltool.evaluation.logistic import a_distance
from tltool.evaluation.validators import (
    VALIDATORS,
    Outputs,
    bnm,
    dev,
    entropy,
    importance_weighted,
    information_maximisation,
    reverse_validation,
    snd,
    source_val,
)

SURE = 50.0  # a logit that leaves nothing for the others


def outputs(target_logits: Tensor, **given: Tensor) -> Outputs:
    empty = torch.empty(0)
    of_source = {name: empty for name in ("source", "held_out", "held_out_logits", "held_out_y")}
    return Outputs(**{"target": empty, "target_logits": target_logits, **of_source, **given})


def one_hot(labels: list[int], classes: int = 3) -> Tensor:
    return SURE * torch.nn.functional.one_hot(torch.tensor(labels), classes).float()


def test_entropy_by_hand() -> None:
    logits = torch.tensor([[math.log(3.0), 0.0], [0.0, 0.0]])  # (3/4, 1/4) and (1/2, 1/2)
    expected = 0.5 * (0.75 * math.log(0.75) + 0.25 * math.log(0.25) + math.log(0.5))
    assert entropy(outputs(logits)) == pytest.approx(expected)


def test_entropy_prefers_a_collapsed_network_and_information_maximisation_does_not() -> None:
    collapsed, varied = one_hot([1, 1, 1]), one_hot([0, 1, 2]) / 25  # sure of 2, not of 50
    assert entropy(outputs(collapsed)) == pytest.approx(0.0)
    assert entropy(outputs(varied)) < -0.1
    assert information_maximisation(outputs(collapsed)) == pytest.approx(0.0, abs=1e-6)
    assert information_maximisation(outputs(varied)) > 0.3
    best = information_maximisation(outputs(one_hot([0, 1, 2])))
    assert best == pytest.approx(math.log(3))


def test_bnm_is_1_for_sure_and_balanced_predictions_and_less_for_others() -> None:
    assert bnm(outputs(one_hot([0, 1, 2, 0, 1, 2]))) == pytest.approx(1.0)
    # All in one class: P has one singular value, sqrt(T), of at most sqrt(T * C).
    assert bnm(outputs(one_hot([1, 1, 1, 1]))) == pytest.approx(1 / math.sqrt(3))
    # All the same and unsure: sqrt(T * C) / C over sqrt(T * C).
    assert bnm(outputs(torch.zeros(4, 3))) == pytest.approx(1 / 3)


def test_snd_by_hand() -> None:
    """Two pairs of equal predictions: each has one neighbour, to which all density goes."""
    spread = snd(outputs(one_hot([0, 0, 1, 1])))
    weight = torch.softmax(torch.tensor([1 / 0.05, 0.0, 0.0]), 0)
    assert spread == pytest.approx(float(-(weight * weight.log()).sum()), abs=1e-4)
    assert snd(outputs(one_hot([1, 1, 1, 1]))) == pytest.approx(math.log(3))  # collapsed: highest


def held_out(right: list[int], features: Tensor) -> dict[str, Tensor]:
    """Held-out examples of class 0 that are predicted right where a 1 stands."""
    logits = one_hot([0 if one else 1 for one in right], 2)
    return {
        "held_out": features,
        "held_out_logits": logits,
        "held_out_y": torch.zeros(len(right), dtype=torch.int64),
    }


def test_source_val_is_accuracy() -> None:
    given = held_out([1, 1, 1, 0], torch.zeros(4, 2))
    assert source_val(outputs(torch.zeros(1, 2), **given)) == 0.75


def test_importance_weights_count_errors_where_the_target_lies() -> None:
    """Source on both sides, target on the right, errors on one side: same accuracy, other score."""
    torch.manual_seed(0)
    left, right = torch.randn(200, 1) - 3.0, torch.randn(200, 1) + 3.0
    domains = {"source": torch.cat([left, right]), "target": torch.randn(400, 1) + 3.0}
    x = torch.cat([left, right])
    wrong_left = held_out([0] * 200 + [1] * 200, x)
    wrong_right = held_out([1] * 200 + [0] * 200, x)
    logits = torch.zeros(400, 2)
    for score in (importance_weighted, dev):
        good = score(outputs(logits, **domains, **wrong_left))
        bad = score(outputs(logits, **domains, **wrong_right))
        assert good > 0.9 and bad < 0.3, score.__name__
    same = outputs(logits, **domains, **wrong_left), outputs(logits, **domains, **wrong_right)
    assert source_val(same[0]) == source_val(same[1]) == 0.5


def test_without_a_shift_weighted_scores_are_plain_accuracy() -> None:
    torch.manual_seed(0)
    x = torch.randn(400, 2)
    given = held_out([1] * 300 + [0] * 100, x)
    both = outputs(torch.zeros(400, 2), source=x, target=x, **given)
    assert importance_weighted(both) == pytest.approx(0.75, abs=1e-6)
    assert dev(both) == pytest.approx(0.75, abs=1e-6)


def test_reverse_validation_sees_labels_that_are_swapped() -> None:
    torch.manual_seed(0)
    y = torch.arange(100) % 2
    x = torch.randn(100, 2) + 4.0 * y.unsqueeze(1)
    given = {"held_out": x, "held_out_logits": torch.zeros(100, 2), "held_out_y": y}
    right = outputs(one_hot(y.tolist(), 2), target=x, **given)
    swapped = outputs(one_hot((1 - y).tolist(), 2), target=x, **given)
    collapsed = outputs(one_hot([1] * 100, 2), target=x, **given)
    assert reverse_validation(right) > 0.95
    assert reverse_validation(swapped) < 0.05
    assert reverse_validation(collapsed) == 0.5


def test_each_is_called_by_its_name() -> None:
    assert len(VALIDATORS) == 8
    assert all(name == one.__name__ for name, one in VALIDATORS.items())


def test_a_distance_of_one_distribution_is_near_0_and_of_two_apart_is_2() -> None:
    torch.manual_seed(0)
    a, b = torch.randn(600, 3).numpy(), torch.randn(600, 3).numpy()
    assert a_distance(a, b) < 0.25
    assert a_distance(a, b + 20.0) == 2.0
    halfway = a_distance(a, b + 1.0)  # 3 dimensions: half of the distance is sqrt(3) / 2
    error = 0.5 * math.erfc(math.sqrt(3) / 2 / math.sqrt(2))
    assert halfway == pytest.approx(2 * (1 - 2 * error), abs=0.15)
