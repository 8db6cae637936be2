"""Losses over several environments, of which a predictor should hold in every one."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor


def environment_means(
    values: Float[Tensor, " b"], domain: Int[Tensor, " b"], number: int
) -> Float[Tensor, " e"]:
    """Returns the mean of the values of each environment; 0 of one that is not there.

    Args:
        values: One of each example.
        domain: Number of each example's environment, 0 to E - 1.
        number: E.
    """
    inside = F.one_hot(domain, number)
    # A sum, not `index_add`: that is not deterministic on a GPU.
    return (inside * values.unsqueeze(1)).sum(dim=0) / inside.sum(dim=0).clamp_min(1)


def environment_risks(
    logits: Float[Tensor, "b c"], y: Int[Tensor, " b"], domain: Int[Tensor, " b"], number: int
) -> Float[Tensor, " e"]:
    """Returns the mean cross-entropy ``R_e`` of each environment.

    Args:
        logits: Of each example.
        y: Labels.
        domain: Number of each example's environment, 0 to E - 1.
        number: E.
    """
    return environment_means(F.cross_entropy(logits, y, reduction="none"), domain, number)


def irm_penalty(
    logits: Float[Tensor, "b c"], y: Int[Tensor, " b"], domain: Int[Tensor, " b"], number: int
) -> Float[Tensor, ""]:
    """Returns ``mean_e (d R_e(w z) / dw)^2`` at ``w = 1``, z being the logits.

    The derivative is written out, ``mean_(i in e) sum_c softmax(z_i)_c z_ic - z_(i, y_i)``, so that
    it takes no second backward pass.

    Args:
        logits: Of each example.
        y: Labels.
        domain: Number of each example's environment, 0 to E - 1.
        number: E.

    References:
        [0] Arjovsky et al., Invariant risk minimization, arXiv 2019, equation IRMv1.
        [1] https://github.com/facebookresearch/InvariantRiskMinimization, which squares the
            gradient of the whole batch, as here; DomainBed multiplies those of two halves.
    """
    z = logits.float()  # differences of large numbers
    expected = (z.softmax(dim=1) * z).sum(dim=1)
    slopes = expected - z.gather(1, y.unsqueeze(1)).squeeze(1)
    return environment_means(slopes, domain, number).square().mean()


def risk_variance(risks: Float[Tensor, " e"]) -> Float[Tensor, ""]:
    """Returns ``1/E sum_e (R_e - mean R)^2``."""
    return risks.var(correction=0)


def exponentiated(
    weights: Float[Tensor, " e"], risks: Float[Tensor, " e"], eta: float
) -> Float[Tensor, " e"]:
    """Returns ``w_e exp(eta R_e)``, divided by their sum.

    Args:
        weights: Positive, with sum 1.
        risks: Of each environment.
        eta: Step size; 0 leaves the weights as they are.
    """
    return torch.softmax(weights.log() + eta * risks, dim=0)


def mixed_cross_entropy(
    logits: Float[Tensor, "b c"],
    y: Int[Tensor, " b"],
    other: Int[Tensor, " b"],
    share: Float[Tensor, " b"],
) -> Float[Tensor, ""]:
    """Returns ``mean_i s_i CE(z_i, y_i) + (1 - s_i) CE(z_i, y'_i)``.

    Args:
        logits: Of the mixtures.
        y: Labels of the ones.
        other: Labels of the others.
        share: What the ones have of the mixture, in [0, 1].
    """
    one = F.cross_entropy(logits, y, reduction="none")
    return (share * one + (1.0 - share) * F.cross_entropy(logits, other, reduction="none")).mean()
