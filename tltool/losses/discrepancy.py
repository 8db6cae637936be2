"""How far apart the features of two domains are, by kernels or by moments."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from tltool.losses.metric import minus_squared_distances, single

# Powers k of two that the mean squared distance is multiplied by, one kernel each [1].
POWERS = (-3, -2, -1, 0, 1)
# ``2 sigma^2`` of the kernel on softmax outputs, whose squared distances are at most 2; that of
# the authors of JAN (https://github.com/thuml/Xlearn).
OUTPUT_WIDTH = 1.68


def gaussian_kernels(
    x: Float[Tensor, "n d"], powers: Sequence[int] = POWERS
) -> Float[Tensor, "n n"]:
    """Returns ``sum_k exp(-|x_i - x_j|^2 / (2 sigma_k^2))`` with ``sigma_k^2 = 2^k m``.

    m is the mean of ``|x_i - x_j|^2`` over all pairs of different rows. It is a constant to the
    gradient: otherwise all that is gained by shrinking the distances would be lost in m.

    Args:
        x: At least two rows.
        powers: The k.

    References:
        [0] Long et al., Learning transferable features with deep adaptation networks, ICML 2015.
        [1] Transfer-Learning-Library, `dan.py`, whose m counts each row's distance to itself too.
    """
    squared = (-minus_squared_distances(x, x)).clamp_min(0.0)
    pairs = len(x) * (len(x) - 1)
    mean = squared.detach().sum() / pairs
    mean = mean.clamp_min(torch.finfo(mean.dtype).tiny)  # all rows are the same
    kernels = [torch.exp(-squared / (2.0 * 2.0**k * mean)) for k in powers]
    return torch.stack(kernels).sum(dim=0)


def mean_discrepancy(kernel: Float[Tensor, "n n"], source: int) -> Float[Tensor, ""]:
    """Returns ``mean K_ss + mean K_tt - 2 mean K_st``, all pairs counted.

    It is the squared distance of the two mean embeddings of the batch: never negative, and 0 for
    batches that are the same. Leaving out each example's pair with itself would estimate that of
    the distributions without bias, and linear-time estimates do so with few of the pairs; either
    goes below zero, and the minimum is then no match. Domains need not have the same size.

    Args:
        kernel: Of the joint batch.
        source: How many of the rows, the first ones, are of the source.
    """
    target = len(kernel) - source
    sign = kernel.new_full((len(kernel),), 1.0 / source)
    sign[source:] = -1.0 / target
    # Not two products of matrices, which autocast would compute in half precision.
    return (kernel * sign[:, None] * sign).sum()


def mmd(source: Float[Tensor, "s d"], target: Float[Tensor, "t d"]) -> Float[Tensor, ""]:
    """Returns the squared maximum mean discrepancy under `gaussian_kernels`; see there.

    The width of the kernels is that of both domains together.
    """
    return mean_discrepancy(gaussian_kernels(torch.cat([source, target])), len(source))


def joint_mmd(
    source: Float[Tensor, "s d"],
    target: Float[Tensor, "t d"],
    source_p: Float[Tensor, "s c"],
    target_p: Float[Tensor, "t c"],
) -> Float[Tensor, ""]:
    """Returns the discrepancy of features and outputs together.

    The kernel of two examples is the product of that of their features (`gaussian_kernels`) and
    that of their outputs, ``exp(-|p_i - p_j|^2 / 1.68)``.

    Args:
        source: Features.
        target: Features.
        source_p: Probabilities of the classes.
        target_p: Probabilities of the classes.

    References:
        [0] Long et al., Deep transfer learning with joint adaptation networks, ICML 2017.
    """
    p = torch.cat([source_p, target_p])
    outputs = torch.exp(minus_squared_distances(p, p).clamp_max(0.0) / OUTPUT_WIDTH)
    features = gaussian_kernels(torch.cat([source, target]))
    return mean_discrepancy(features * outputs, len(source))


def coral(source: Float[Tensor, "s d"], target: Float[Tensor, "t d"]) -> Float[Tensor, ""]:
    """Returns ``|C_s - C_t|_F^2 / (4 d^2)`` of the covariances ``(d, d)``.

    ``C = sum_i (x_i - mean)(x_i - mean)^T / (n - 1)``.

    Raises:
        ValueError: A domain has fewer than two examples, and so no covariance.

    References:
        [0] Sun & Saenko, Deep CORAL, ECCV workshops 2016.
    """
    if min(len(source), len(target)) < 2:
        raise ValueError("a covariance takes at least 2 examples of each domain in a batch")
    with torch.autocast(source.device.type, enabled=False):
        difference: Tensor = torch.cov(single(source).T) - torch.cov(single(target).T)
    return difference.square().sum() / (4 * source.shape[1] ** 2)


def central_moments(
    source: Float[Tensor, "s d"], target: Float[Tensor, "t d"], moments: int, width: float
) -> Float[Tensor, ""]:
    """Returns ``|E s - E t| / w + sum_{k=2}^K |c_k(s) - c_k(t)| / w^k``, Euclidean norms.

    ``c_k(x) = E (x - E x)^k``, coordinate by coordinate.

    Args:
        source: In an interval of width w, as the target.
        target: See there.
        moments: K, at least 1.
        width: w.

    References:
        [0] Zellinger et al., Central moment discrepancy (CMD) for domain-invariant representation
            learning, ICLR 2017.
    """
    source, target = single(source), single(target)
    differences = [(source.mean(dim=0) - target.mean(dim=0)) / width]
    source, target = source - source.mean(dim=0), target - target.mean(dim=0)
    for k in range(2, moments + 1):
        difference = (source**k).mean(dim=0) - (target**k).mean(dim=0)
        differences.append(difference / width**k)
    norms: Tensor = torch.linalg.vector_norm(torch.stack(differences), dim=1)
    return norms.sum()
