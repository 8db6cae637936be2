"""Weights of examples by group and class."""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def reweighing_weights(counts: Int[Tensor, "a c"]) -> Float[Tensor, "a c"]:
    """Returns ``w(a, y) = P(a) P(y) / P(a, y)``: weighted so, group and class are independent.

    The weighted number of examples is the number of examples where no cell is empty. An empty
    cell has weight 0: no weight can fill it.

    Args:
        counts: Examples by group and class.

    References:
        [0] Kamiran & Calders, Data preprocessing techniques for classification without
            discrimination, Knowledge and Information Systems 2012, section 5.2.
    """
    n = counts.to(torch.float64)
    expected = n.sum(1, keepdim=True) * n.sum(0, keepdim=True) / n.sum().clamp_min(1)
    return torch.where(n > 0, expected / n.clamp_min(1), 0.0).float()
