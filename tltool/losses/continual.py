"""Losses of learning one context after the other."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor


def possible_only(
    logits: Float[Tensor, "b c"], classes: Bool[Tensor, "b c"]
) -> Float[Tensor, "b c"]:
    """Returns the logits, those of impossible classes being minus infinity: probability 0.

    Args:
        logits: Of all classes.
        classes: Which of them are possible for each example, at least one.
    """
    return logits.masked_fill(~classes, -torch.inf)


def masked_cross_entropy(
    logits: Float[Tensor, "b c"], y: Int[Tensor, " b"], classes: Bool[Tensor, "b c"]
) -> Float[Tensor, ""]:
    """Returns the mean of ``-log p(y)``, p being the softmax over the possible classes.

    Args:
        logits: Of all classes.
        y: Labels; each is possible for its example, else the loss is infinite.
        classes: Which classes are possible for each example.
    """
    return F.cross_entropy(possible_only(logits, classes), y)


def quadratic_penalty(
    parameters: Float[Tensor, " p"], centre: Float[Tensor, " p"], precision: Float[Tensor, " p"]
) -> Float[Tensor, ""]:
    """Returns ``1/2 sum_i precision_i (parameters_i - centre_i)^2``.

    Args:
        parameters: Where the network is.
        centre: Where it is drawn to.
        precision: How strongly, from 0 on.
    """
    return 0.5 * (precision * (parameters - centre).square()).sum()
