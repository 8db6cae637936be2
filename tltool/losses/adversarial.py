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
    source: Float[Tensor, " s"],
    target: Float[Tensor, " t"],
    source_weights: Float[Tensor, " s"] | None = None,
    target_weights: Float[Tensor, " t"] | None = None,
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Binary cross-entropy of telling source (1) from target (0), and its accuracy.

    ``(mean_s -w_s log sigmoid(d_s) + mean_t -w_t log(1 - sigmoid(d_t))) / 2``: both domains weigh
    the same, whatever their sizes. One logit an example: a softmax over a single logit is constant
    and its gradient exactly zero.

    Args:
        source: Logits of the source examples.
        target: Logits of the target examples.
        source_weights: Of each source example; 1 by default. They are not made to add up to s.
        target_weights: Of each target example, likewise.

    Returns:
        The loss (``log 2`` for a discriminator that knows nothing, without weights) and the
        accuracy in [0, 1], mean of the two domains, which no weights enter.
    """
    of_source, of_target = F.softplus(-source), F.softplus(target)
    if source_weights is not None:
        of_source = source_weights * of_source
    if target_weights is not None:
        of_target = target_weights * of_target
    loss = 0.5 * (of_source.mean() + of_target.mean())
    correct = 0.5 * ((source > 0).float().mean() + (target <= 0).float().mean())
    return loss, correct.detach()


def entropy_weights(logits: Float[Tensor, "b c"]) -> Float[Tensor, " b"]:
    """Weights of examples by how sure the classifier is of them: ``1 + exp(-H(p))``, of mean 1.

    p is the softmax and H its entropy in nats. No gradient passes.

    Args:
        logits: Of the examples of one domain.
    """
    log_p = F.log_softmax(logits.detach(), dim=1)
    weights = 1.0 + torch.exp((log_p.exp() * log_p).sum(dim=1))
    return weights / weights.mean()


def multilinear(
    features: Float[Tensor, "b d"], probabilities: Float[Tensor, "b c"]
) -> Float[Tensor, "b d*c"]:
    """Returns the products of every feature with every class's probability, ``f (x) p``.

    Those of one feature stand side by side.
    """
    return torch.einsum("bd,bc->bdc", features, probabilities).flatten(1)


def random_multilinear(
    features: Float[Tensor, "b d"],
    probabilities: Float[Tensor, "b c"],
    of_features: Float[Tensor, "d r"],
    of_classes: Float[Tensor, "c r"],
) -> Float[Tensor, "b r"]:
    """Returns ``(f R_f) * (p R_p) / sqrt(r)``.

    Inner products of what it returns are, in expectation over the matrices, those of
    `multilinear`.

    Args:
        features: f.
        probabilities: p.
        of_features: R_f, drawn once from a standard normal distribution.
        of_classes: R_p, likewise.
    """
    return (features @ of_features) * (probabilities @ of_classes) / math.sqrt(of_classes.shape[1])


def unknown_loss(logits: Float[Tensor, "b c"], threshold: float) -> Float[Tensor, ""]:
    """Binary cross-entropy of the last class's probability u with a constant, the batch's mean.

    ``-t log u - (1 - t) log(1 - u)``, with u the last entry of the softmax.

    Args:
        logits: Of the classes, the last one being none of the others.
        threshold: t, in (0, 1).
    """
    # log u - log(1 - u), so that neither logarithm is of a number that was rounded to 0.
    odds = logits[:, -1] - torch.logsumexp(logits[:, :-1], dim=1)
    return F.binary_cross_entropy_with_logits(odds, torch.full_like(odds, threshold))
