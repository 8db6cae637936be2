"""Figures of a classifier's logits."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor


def accuracy(logits: Float[Tensor, "b c"], y: Int[Tensor, " b"]) -> Float[Tensor, ""]:
    """Returns the part of rows whose largest logit is the label's, in [0, 1].

    Rows with the label -1, unknown, are left out; 0 where there are no others.
    """
    correct = (logits.argmax(dim=1) == y).to(torch.float32)  # never where the label is -1
    return correct.sum() / (y >= 0).sum().clamp_min(1)


def known_cross_entropy(logits: Float[Tensor, "b c"], y: Int[Tensor, " b"]) -> Float[Tensor, ""]:
    """Returns the mean cross-entropy of the rows whose label is known, not -1; 0 without any."""
    total = F.cross_entropy(logits, y, ignore_index=-1, reduction="sum")
    return total / (y >= 0).sum().clamp_min(1)
