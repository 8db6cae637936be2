"""Classification by distance."""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def class_means(
    features: Float[Tensor, "s d"], labels: Int[Tensor, " s"], classes: int
) -> Float[Tensor, "c d"]:
    """Returns the mean feature of each class 0 to ``classes`` - 1; zeros for one that is absent."""
    features = single(features)
    sums = features.new_zeros(classes, features.shape[1]).index_add_(0, labels, features)
    counts = torch.bincount(labels, minlength=classes).clamp_min(1)
    return sums / counts.unsqueeze(1)


def minus_squared_distances(
    query: Float[Tensor, "q d"], means: Float[Tensor, "c d"]
) -> Float[Tensor, "q c"]:
    """Returns ``-|q - m|^2``, in float32 at least, of every pair of rows."""
    # Distances are differences of larger numbers: half precision would leave little of them.
    with torch.autocast(query.device.type, enabled=False):
        q, m = single(query), single(means)
        # Not cdist, whose gradient has a root in it that is infinite where a distance is zero.
        return 2 * q @ m.T - q.square().sum(1, keepdim=True) - m.square().sum(1)


def nearest_mean(
    support: Float[Tensor, "s d"],
    labels: Int[Tensor, " s"],
    query: Float[Tensor, "q d"],
    classes: int,
) -> Float[Tensor, "q c"]:
    """Returns ``-|q - m_c|^2``, minus the squared distance to the mean of each class.

    Args:
        support: Features.
        labels: Their classes, 0 to c - 1, none of them absent.
        query: Features.
        classes: c.

    References:
        [0] Snell, Swersky & Zemel, Prototypical networks for few-shot learning, NeurIPS 2017.
    """
    return minus_squared_distances(query, class_means(support, labels, classes))


def single(x: Tensor) -> Tensor:
    """Returns half precision as float32, anything else as it is."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
