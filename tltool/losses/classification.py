"""Figures of a classifier's logits."""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def accuracy(logits: Float[Tensor, "b c"], y: Int[Tensor, " b"]) -> Float[Tensor, ""]:
    """Returns the part of rows whose largest logit is the label's, in [0, 1]."""
    return (logits.argmax(dim=1) == y).to(torch.float32).mean()
