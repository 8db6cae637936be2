import math

import pytest
import torch
from jaxtyping import TypeCheckError

from tltool.losses.transport import joint_cost, optimal_plan

LOG3 = math.log(3.0)


def test_joint_cost_by_hand():
    source = torch.tensor([[0.0, 0.0], [1.0, 0.0]])
    target = torch.tensor([[0.0, 2.0]])
    # softmax (3/4, 1/4): CE is log 4/3 = 0.287682 for class 0, log 4 = 1.386294 for class 1
    cost = joint_cost(source, torch.tensor([1, 0]), target, torch.tensor([[LOG3, 0.0]]), 0.5, 2.0)
    # 0.5 * 4 + 2 * 1.386294; 0.5 * (1 + 4) + 2 * 0.287682
    torch.testing.assert_close(cost, torch.tensor([[4.772589], [3.075364]]))


def test_joint_cost_pulls_both_domains_features_and_the_targets_predictions():
    source = torch.zeros(1, 2, requires_grad=True)
    target = torch.tensor([[0.0, 2.0]], requires_grad=True)
    logits = torch.tensor([[LOG3, 0.0]], requires_grad=True)
    joint_cost(source, torch.tensor([1]), target, logits, 0.5, 2.0).sum().backward()
    torch.testing.assert_close(source.grad, torch.tensor([[0.0, -2.0]]))  # 0.5 * 2 (f_s - f_t)
    torch.testing.assert_close(target.grad, torch.tensor([[0.0, 2.0]]))
    torch.testing.assert_close(logits.grad, torch.tensor([[1.5, -1.5]]))  # 2 (p - one_hot)


def test_half_precision_costs_are_distances_in_single():
    half = torch.full((1, 4), 100.0, dtype=torch.bfloat16)
    logits = torch.zeros(1, 2, dtype=torch.bfloat16)
    cost = joint_cost(half, torch.tensor([0]), half, logits, 1.0, 0.0)
    assert cost.dtype == torch.float32 and cost.item() == pytest.approx(0.0, abs=1e-2)


def test_the_plan_of_least_cost_by_hand():
    pytest.importorskip("ot")
    cost = torch.tensor([[1.0, 0.0, 5.0], [0.0, 1.0, 5.0], [4.0, 4.0, 1.0]], requires_grad=True)
    plan = optimal_plan(cost)
    expected = torch.tensor([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]) / 3
    torch.testing.assert_close(plan, expected)
    assert not plan.requires_grad


def test_a_plan_shares_a_row_where_sizes_differ():
    pytest.importorskip("ot")
    plan = optimal_plan(torch.tensor([[0.0, 0.0, 9.0], [9.0, 0.0, 0.0]]))
    torch.testing.assert_close(plan.sum(1), torch.tensor([1 / 2, 1 / 2]))
    torch.testing.assert_close(plan.sum(0), torch.tensor([1 / 3, 1 / 3, 1 / 3]))
    assert plan[0, 2] == 0 and plan[1, 0] == 0


def test_shapes_must_fit():
    points, y = torch.zeros(2, 3), torch.zeros(2, dtype=torch.int64)
    with pytest.raises(TypeCheckError):
        joint_cost(points, y, torch.zeros(2, 4), torch.zeros(2, 2), 1.0, 1.0)
