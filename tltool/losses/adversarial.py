"""Domain-adversarial losses."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


class _Reverse(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, coefficient: float) -> Tensor:
        ctx.coefficient = coefficient
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return -ctx.coefficient * grads[0], None


def gradient_reversal(x: Float[Tensor, "b d"], coefficient: float) -> Float[Tensor, "b d"]:
    """Returns ``x``; gradients that pass back through it are multiplied by ``-coefficient``."""
    reversed_: Tensor = _Reverse.apply(x, coefficient)
    return reversed_


def reversal_coefficient(progress: float, gamma: float = 10.0) -> float:
    """Returns ``2 / (1 + exp(-gamma p)) - 1``: from 0 at the start of training to almost 1.

    Args:
        progress: Part p of the training that is done, in [0, 1].
        gamma: Steepness; 10 in Ganin et al., JMLR 2016, section 5.2.2.
    """
    return 2.0 / (1.0 + math.exp(-gamma * progress)) - 1.0


def domain_loss(
    source: Float[Tensor, " s"], target: Float[Tensor, " t"]
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Binary cross-entropy of telling source (1) from target (0), and its accuracy.

    ``(mean_s -log sigmoid(d_s) + mean_t -log(1 - sigmoid(d_t))) / 2``: both domains weigh the
    same, whatever their sizes. One logit an example: a softmax over a single logit is constant
    and its gradient exactly zero.

    Args:
        source: Logits of the source examples.
        target: Logits of the target examples.

    Returns:
        The loss (``log 2`` for a discriminator that knows nothing) and the accuracy in [0, 1],
        mean of the two domains.
    """
    loss = 0.5 * (F.softplus(-source).mean() + F.softplus(target).mean())
    correct = 0.5 * ((source > 0).float().mean() + (target <= 0).float().mean())
    return loss, correct.detach()
