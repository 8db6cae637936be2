import math
from typing import Any

import pytest
import torch
from jaxtyping import TypeCheckError
from torch.utils._python_dispatch import TorchDispatchMode

from tltool.losses.discrepancy import (
    central_moments,
    coral,
    gaussian_kernels,
    joint_mmd,
    mean_discrepancy,
    mmd,
)

# Two rows: their distance is the mean one, so that the kernels are exp(-1 / (2 * 2^k)), k = -3..1:
# exp(-4) + exp(-2) + exp(-1) + exp(-1/2) + exp(-1/4)
BETWEEN_TWO = 1.906862


def test_kernels_by_hand():
    # Squared distances 1, 9, 4: m = 14/3, and with k = 0 the kernel is exp(-3 d^2 / 28). Of plain
    # distances (a Laplace kernel) it would be exp(-d / 4), 0.7788 for the first pair.
    kernel = gaussian_kernels(torch.tensor([[0.0], [1.0], [3.0]]), powers=(0,))
    expected = [[1.0, 0.898398, 0.381255], [0.898398, 1.0, 0.651439], [0.381255, 0.651439, 1.0]]
    torch.testing.assert_close(kernel, torch.tensor(expected), rtol=0, atol=1e-6)
    # k = 1 halves the exponent: exp(-3/56) = 0.947839; both kernels are added.
    both = gaussian_kernels(torch.tensor([[0.0], [1.0], [3.0]]), powers=(0, 1))
    assert both[0, 1].item() == pytest.approx(0.898398 + 0.947839, abs=2e-6)


def test_discrepancy_of_a_kernel_by_hand():
    kernel = torch.tensor([[2.0, 1.0, 0.5], [1.0, 2.0, 0.25], [0.5, 0.25, 2.0]])
    # Two of the source: (2 + 1 + 1 + 2) / 4 + 2 - 2 * (0.5 + 0.25) / 2 = 1.5 + 2 - 0.75
    assert mean_discrepancy(kernel, 2).item() == pytest.approx(2.75)


def test_mmd_by_hand():
    found = mmd(torch.tensor([[0.0, 0.0]]), torch.tensor([[3.0, 4.0]]))
    assert found.item() == pytest.approx(5 + 5 - 2 * BETWEEN_TWO, abs=1e-5)


def test_mmd_is_the_sum_over_all_pairs_one_by_one():
    torch.manual_seed(0)
    source, target = torch.randn(5, 3).double(), torch.randn(4, 3).double() + 1
    joint = [*source, *target]
    m = sum(((a - b) ** 2).sum() for a in joint for b in joint) / (9 * 8)

    def mean(some: Any, others: Any) -> Any:
        kernels = [
            torch.exp(-((a - b) ** 2).sum() / (2 * 2**k * m))
            for a in some
            for b in others
            for k in (-3, -2, -1, 0, 1)
        ]
        return sum(kernels) / (len(some) * len(others))

    expected = mean(source, source) + mean(target, target) - 2 * mean(source, target)
    torch.testing.assert_close(mmd(source, target), expected)


def test_mmd_is_zero_for_the_same_batch_in_any_order():
    torch.manual_seed(0)
    source = torch.randn(16, 8)
    assert mmd(source, source.flip(0)).item() == pytest.approx(0, abs=1e-6)


def test_mmd_is_never_negative():
    """Estimates of one distribution from half of the pairs, or in linear time, often are."""
    torch.manual_seed(0)
    found = torch.stack([mmd(torch.randn(8, 3), torch.randn(8, 3)) for _ in range(100)])
    assert found.min() > 0


def test_mmd_knows_distributions_apart_that_have_the_same_mean_and_variance():
    torch.manual_seed(0)
    normal, signs = torch.randn(200, 1), torch.randn(200, 1).sign()
    assert mmd(normal, signs) > 5 * mmd(torch.randn(200, 1), normal)


def test_mmd_pulls_the_domains_together_at_a_fixed_width():
    torch.manual_seed(0)
    source, target = torch.randn(8, 3), torch.randn(8, 3) + 2
    source.requires_grad_()
    target.requires_grad_()
    mmd(source, target).backward()
    assert (source.grad.mean(0) < 0).all()  # downhill is towards the target
    assert (target.grad.mean(0) > 0).all()
    # All distances larger by a factor change nothing, were the width to follow them: then the
    # gradient along that direction would be 0.
    along = (source * source.grad).sum() + (target * target.grad).sum()
    assert along > 0.1


def test_mmd_of_equal_rows_is_zero_with_a_finite_gradient():
    source = torch.ones(3, 2, requires_grad=True)
    found = mmd(source, torch.ones(4, 2))
    found.backward()
    assert found.item() == pytest.approx(0, abs=1e-6)
    assert not source.grad.any()


class Largest(TorchDispatchMode):
    """Notes the size of the largest tensor that is made within it."""

    numbers = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        made = out if isinstance(out, tuple | list) else [out]
        sizes = [one.numel() for one in made if isinstance(one, torch.Tensor)]
        self.numbers = max([self.numbers, *sizes])
        return out


def test_mmd_makes_no_tensor_of_n_by_n_by_d():
    source, target = torch.randn(10, 50, requires_grad=True), torch.randn(10, 50)
    with Largest() as largest:
        mmd(source, target).backward()
    assert 0 < largest.numbers <= max(5 * 20 * 20, 20 * 50)  # five kernels, or the features


def test_joint_mmd_by_hand():
    source, target = torch.tensor([[0.0, 0.0]]), torch.tensor([[3.0, 4.0]])
    one, other = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    # exp(-2 / 1.68) = 0.304076; features by hand above
    found = joint_mmd(source, target, one, other)
    assert found.item() == pytest.approx(10 - 2 * BETWEEN_TWO * math.exp(-2 / 1.68), abs=1e-5)
    # Where all are predicted alike, the features decide.
    torch.testing.assert_close(joint_mmd(source, target, one, one), mmd(source, target))


def test_joint_mmd_sees_features_and_predictions_that_are_only_coupled_differently():
    x, p = torch.tensor([[0.0], [1.0]]), torch.eye(2)
    assert mmd(x, x).item() == pytest.approx(0, abs=1e-6)
    assert mmd(p, p.flip(0)).item() == pytest.approx(0, abs=1e-6)
    assert joint_mmd(x, x, p, p).item() == pytest.approx(0, abs=1e-6)
    assert joint_mmd(x, x, p, p.flip(0)) > 0.1


def test_joint_mmd_reaches_features_and_predictions():
    torch.manual_seed(0)
    parts = [torch.randn(4, 3), torch.randn(6, 3), torch.rand(4, 2), torch.rand(6, 2)]
    parts = [part.requires_grad_() for part in parts]
    joint_mmd(*parts).backward()
    assert all(part.grad.abs().sum() > 1e-3 for part in parts)


def test_coral_by_hand():
    source = torch.tensor([[0.0, 0.0], [2.0, 2.0]])  # covariance [[2, 2], [2, 2]]
    target = torch.tensor([[5.0, 5.0], [7.0, 3.0]])  # [[2, -2], [-2, 2]]; the mean is no matter
    assert coral(source, target).item() == pytest.approx((4**2 + 4**2) / (4 * 2**2))


def test_coral_gradient_by_hand():
    # Variances 2 and 8: (2 - 8)^2 / 4 = 9; d/ds_i = 2 (2 - 8) / 4 * 2 (s_i - 1) = -6 (s_i - 1)
    source = torch.tensor([[0.0], [2.0]], requires_grad=True)
    found = coral(source, torch.tensor([[0.0], [4.0]]))
    found.backward()
    assert found.item() == pytest.approx(9)
    torch.testing.assert_close(source.grad, torch.tensor([[6.0], [-6.0]]))


def test_coral_takes_two_examples_of_each_domain():
    with pytest.raises(ValueError, match="at least 2 examples"):
        coral(torch.zeros(1, 2), torch.zeros(4, 2))


def test_central_moments_by_hand():
    # Means 0; c_2 = 1 and 0, c_3 = 0, c_4 = 1 and 0, c_5 = 0: 1 / 2^2 + 1 / 2^4
    found = central_moments(torch.tensor([[-1.0], [1.0]]), torch.zeros(3, 1), 5, 2.0)
    assert found.item() == pytest.approx(0.3125)
    # Means (3, 4) apart, 5 by Euclid, nothing else: 5 / 2
    apart = central_moments(torch.tensor([[3.0, 4.0]]), torch.zeros(1, 2), 5, 2.0)
    assert apart.item() == pytest.approx(2.5)
    # Means .5 apart, c_2 = 1/4 and 0, c_3 = 0; width 1, and K = 1 leaves out all but the means.
    half = torch.tensor([[0.0], [1.0]]), torch.zeros(2, 1)
    assert central_moments(*half, 3, 1.0).item() == pytest.approx(0.75)
    assert central_moments(*half, 1, 1.0).item() == pytest.approx(0.5)


def test_central_moments_of_the_same_batch_are_zero_with_a_finite_gradient():
    source = torch.rand(5, 3, requires_grad=True)
    found = central_moments(source, source.detach().flip(0), 5, 1.0)
    found.backward()
    assert found.item() == pytest.approx(0, abs=1e-6)
    assert torch.isfinite(source.grad).all()


def test_central_moments_pull_the_domains_together():
    source = torch.tensor([[0.0], [0.5]], requires_grad=True)
    central_moments(source, torch.tensor([[0.5], [1.0]]), 5, 1.0).backward()
    assert (source.grad < 0).all()


@pytest.mark.parametrize("discrepancy", [mmd, coral])
def test_half_precision_of_the_network_leaves_the_discrepancy_as_it_is(discrepancy):
    torch.manual_seed(0)
    source, target = torch.randn(20, 4), torch.randn(20, 4) + 0.1
    with torch.autocast("cpu", torch.bfloat16):
        found = discrepancy(source, target)
    torch.testing.assert_close(found, discrepancy(source, target))


@pytest.mark.parametrize("discrepancy", [mmd, coral])
def test_domains_have_features_of_one_length(discrepancy):
    with pytest.raises(TypeCheckError):
        discrepancy(torch.zeros(4, 2), torch.zeros(4, 3))
