"""Weights of source examples under which the source is distributed as the target is."""

import torch
from jaxtyping import Float
from torch import Tensor

# The solver stops where the squared distance of the two mean embeddings, which is below 2, is
# certain to be within this of the least one possible.
GAP = 1e-5
STEPS = 2000


def density_ratio(logits: Float[Tensor, " n"], source: int, target: int) -> Float[Tensor, " n"]:
    """Returns ``w(x) = p(target | x) / p(source | x) * n_s / n_t``, as a classifier sees it.

    Args:
        logits: ``log p(target | x) / p(source | x)`` of a classifier trained on both.
        source: n_s, examples of the source that it was trained on.
        target: n_t.
    """
    return logits.exp() * source / target


def bounded_weights(weights: Float[Tensor, " n"], largest: float) -> Float[Tensor, " n"]:
    """Returns ``min(c w, largest)`` with the c that makes the mean 1.

    Clipped first and normalised then, a weight could again be of any size. Where too few weights
    are above 0 for a mean of 1, all others share evenly in what is missing.

    Args:
        weights: Not negative, and not all 0.
        largest: At least 1.
    """
    weights = weights.clamp_min(weights.max() * torch.finfo(weights.dtype).tiny ** 0.5)
    ordered = weights.sort(descending=True).values
    count = len(weights)
    clipped = torch.arange(count).to(weights)  # if so many of the largest are
    rest = ordered.flip(0).cumsum(0).flip(0)  # what all others add up to
    scales = (count - clipped * largest) / rest
    fits = (scales * ordered <= largest) & (scales > 0)
    return (weights * scales[fits.int().argmax()]).clamp_max(largest)


def effective_sample(weights: Float[Tensor, " n"]) -> Float[Tensor, ""]:
    """Returns ``(sum w)^2 / (n sum w^2)``, in (0, 1]: the part of the examples that counts.

    A weighted mean is as noisy as a plain one over that part of them. With a mean of 1 and a
    largest weight of B, it is at least 1/B.

    References:
        [0] Kong, A note on importance sampling using standardized weights, 1992.
    """
    return weights.sum() ** 2 / (len(weights) * weights.square().sum())


def kernel_mean_matching(
    kernel: Float[Tensor, "n n"], target: Float[Tensor, " n"], bound: float, slack: float
) -> Float[Tensor, " n"]:
    """Returns the weights under which the source's mean embedding is closest to the target's.

        min_w |1/n sum_i w_i phi(x_i) - 1/m sum_j phi(t_j)|^2
        with 0 <= w_i <= bound, |mean w - 1| <= slack

    It takes accelerated projected gradient steps, with a restart wherever they go uphill, until
    the duality gap ``g.w - min_v g.v`` (g the gradient, v any weights allowed) is below `GAP`.

    Args:
        kernel: ``k(x_i, x_j)``, none of it negative; float64.
        target: ``1/m sum_j k(x_i, t_j)``.
        bound: At least 1.
        slack: In [0, 1).

    References:
        [0] Huang et al., Correcting sample selection bias by unlabeled data, NeurIPS 2006.
        [1] Beck & Teboulle, A fast iterative shrinkage-thresholding algorithm, SIAM J. Imaging
            Sciences 2009; O'Donoghue & Candès, Adaptive restart for accelerated gradient schemes,
            Foundations of Computational Mathematics 2015.
    """
    count = len(kernel)
    low, high = count * (1.0 - slack), min(count * (1.0 + slack), count * bound)
    rate = 1.0 / kernel.sum(dim=1).max()  # no eigenvalue is above the largest sum of a row
    weights = torch.ones_like(target)
    image = kernel @ weights
    ahead, ahead_image, momentum = weights, image, 1.0
    for _ in range(STEPS):
        stepped = ahead - rate * (ahead_image - count * target)
        new = _project(stepped, bound, low, high)
        new_image = kernel @ new
        gradient = new_image - count * target
        if 2.0 * _gap(gradient, new, bound, low, high) <= GAP * count**2:
            return new
        if (ahead - new) @ (new - weights) > 0:
            momentum = 1.0
        after = (1.0 + (1.0 + 4.0 * momentum**2) ** 0.5) / 2.0
        beta = (momentum - 1.0) / after
        ahead, ahead_image = new + beta * (new - weights), new_image + beta * (new_image - image)
        weights, image, momentum = new, new_image, after
    return weights


def _project(v: Tensor, bound: float, low: float, high: float) -> Tensor:
    """Returns the nearest w to v with ``0 <= w <= bound`` and ``low <= sum w <= high``."""
    nearest = v.clamp(0.0, bound)
    total = nearest.sum().clamp(low, high)
    if total == nearest.sum():
        return nearest
    # It is clamp(v - c) for some c. As c falls, the sum rises in straight lines between the points
    # where an entry leaves 0 or reaches the bound.
    points, order = torch.cat([v, v - bound]).sort(descending=True)
    slopes = torch.where(order < len(v), 1.0, -1.0).cumsum(0)[:-1].to(v.dtype)
    sums = torch.cat([v.new_zeros(1), (slopes * -points.diff()).cumsum(0)])
    i = torch.searchsorted(sums, total).clamp(1, len(slopes))
    return (v - points[i] - (sums[i] - total) / slopes[i - 1]).clamp(0.0, bound)


def _gap(gradient: Tensor, w: Tensor, bound: float, low: float, high: float) -> Tensor:
    """Returns ``g.w - min_v g.v`` over ``0 <= v <= bound`` and ``low <= sum v <= high``."""
    ordered = gradient.sort().values
    before = bound * torch.arange(len(w)).to(w)  # in v: all that gain more are full
    gaining, forced = ((total - before).clamp(0.0, bound) for total in (high, low))
    return gradient @ w - ordered @ torch.where(ordered < 0, gaining, forced)
