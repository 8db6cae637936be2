import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch import Tensor

from tltool.losses.weighting import (
    bounded_weights,
    density_ratio,
    effective_sample,
    kernel_mean_matching,
)


def test_density_ratio_by_hand():
    # p(t|x) = 1/2 and 3/4, odds 1 and 3; 10 of the source, 5 of the target: times 2
    found = density_ratio(torch.tensor([0.0, math.log(3)]), 10, 5)
    torch.testing.assert_close(found, torch.tensor([2.0, 6.0]))


def test_weights_are_scaled_to_a_mean_of_one_and_clipped_at_once():
    torch.testing.assert_close(
        bounded_weights(torch.tensor([6.0, 2.0, 4.0]), 10.0), torch.tensor([1.5, 0.5, 1.0])
    )
    # 8 is clipped at 2, and 1 is left for the two others. Clipped first and scaled then, 8 would
    # end at 2 * 3 / 4.
    torch.testing.assert_close(
        bounded_weights(torch.tensor([1.0, 8.0, 1.0]), 2.0), torch.tensor([0.5, 2.0, 0.5])
    )
    # Two of them: 2 + 2 + 4c = 5, with 1 and 3 of the rest
    torch.testing.assert_close(
        bounded_weights(torch.tensor([90.0, 80.0, 1.0, 3.0, 0.0001]), 2.0),
        torch.tensor([2.0, 2.0, 0.25, 0.75, 0.0]),
        rtol=0,
        atol=1e-4,
    )
    # One is all that is above 0: 2 of 5, and the others share the rest.
    torch.testing.assert_close(
        bounded_weights(torch.tensor([0.0, 0.0, 7.0, 0.0, 0.0]), 2.0),
        torch.tensor([0.75, 0.75, 2.0, 0.75, 0.75]),
    )


@pytest.mark.parametrize("largest", [1.0, 1.5, 4.0])
def test_however_uneven_the_mean_is_one_and_none_is_above_the_largest(largest: float) -> None:
    torch.manual_seed(0)
    for count in (1, 2, 7, 500):
        found = bounded_weights((30 * torch.randn(count).double()).exp(), largest)
        assert found.mean().item() == pytest.approx(1, abs=1e-9)
        assert 0 <= found.min() and found.max() <= largest
        assert effective_sample(found) > 1 / largest - 1e-9


def test_effective_sample_by_hand():
    assert effective_sample(torch.full((7,), 3.0)).item() == pytest.approx(1)
    assert effective_sample(torch.tensor([1.0, 0.0, 0.0, 0.0])).item() == pytest.approx(0.25)
    # 4^2 / (2 * (1 + 9))
    assert effective_sample(torch.tensor([1.0, 3.0])).item() == pytest.approx(0.8)


def kernels(spread: float = 0.5) -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    source, target = torch.randn(30, 2).double(), spread * torch.randn(40, 2).double() + 1
    both = [torch.cdist(source, other).square().mul(-0.25).exp() for other in (source, target)]
    return both[0], both[1].mean(dim=1)


def objective(kernel: Tensor, target: Tensor, w: Tensor) -> float:
    return float(w @ kernel @ w / len(w) ** 2 - 2 * w @ target / len(w))


@pytest.mark.parametrize(("bound", "slack"), [(3.0, 0.1), (1000.0, 0.8), (2.0, 0.0), (10.0, 0.8)])
def test_kernel_mean_matching_is_as_good_as_a_general_solver(bound: float, slack: float) -> None:
    kernel, target = kernels()
    found = kernel_mean_matching(kernel, target, bound, slack)
    count, k, t = len(kernel), kernel.numpy(), target.numpy()
    solved = minimize(
        lambda w: w @ k @ w / count**2 - 2 * w @ t / count,
        np.ones(count),
        jac=lambda w: 2 * k @ w / count**2 - 2 * t / count,
        bounds=[(0, bound)] * count,
        constraints=[
            {"type": "ineq", "fun": lambda w: count * (1 + slack) - w.sum()},
            {"type": "ineq", "fun": lambda w: w.sum() - count * (1 - slack)},
        ],
        method="SLSQP",
        options={"maxiter": 1000, "ftol": 1e-12},
    )
    assert solved.success
    assert objective(kernel, target, found) < solved.fun + 1e-5
    assert objective(kernel, target, torch.ones(count).double()) > solved.fun + 0.1
    assert 0 <= found.min() and found.max() <= bound
    assert abs(found.mean().item() - 1) <= slack + 1e-9


def test_source_examples_that_are_like_the_target_get_the_weight() -> None:
    # Of four, the first two are where the target is, and far from the others: 2 each.
    kernel = torch.eye(4).double()
    target = torch.tensor([0.5, 0.5, 0.0, 0.0]).double()
    found = kernel_mean_matching(kernel, target, 10.0, 0.5)
    torch.testing.assert_close(found, torch.tensor([2.0, 2, 0, 0]).double(), rtol=0, atol=0.01)


def test_a_target_that_is_the_source_gives_weight_one() -> None:
    kernel, _ = kernels()
    ones = torch.ones(30).double()
    torch.testing.assert_close(kernel_mean_matching(kernel, kernel.mean(dim=1), 5.0, 0.5), ones)
    assert torch.equal(kernel_mean_matching(*kernels(), 1.0, 0.0), ones)
