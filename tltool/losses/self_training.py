"""Losses of learning from a network's own predictions."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

TINY = 1e-8  # below any probability that matters, so that no logarithm is infinite


def confident_cross_entropy(
    logits: Float[Tensor, "b c"], predicted: Float[Tensor, "b c"], threshold: float
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Cross-entropy with the classes predicted with confidence.

    ``1/B sum_i [max_c q_ic >= threshold] CE(logits_i, argmax_c q_ic)``, q the softmax of
    ``predicted``. It is divided by all B rows, not by those that are kept: few labels weigh little.

    Args:
        logits: What learns.
        predicted: Logits that the labels come from; no gradient passes through them.
        threshold: Least probability of a label, in [0, 1].

    Returns:
        The loss, and the part of the rows that is kept, in [0, 1].
    """
    confidence, labels = F.softmax(predicted.detach(), dim=1).max(dim=1)
    kept = (confidence >= threshold).to(confidence.dtype)
    each = F.cross_entropy(logits, labels, reduction="none")
    return (kept * each).mean(), kept.mean()


def consistency(
    student: Float[Tensor, "b c"], teacher: Float[Tensor, "b c"], threshold: float
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Squared difference of two softmaxes, where the teacher is confident.

    ``1/B sum_i [max_c q_ic >= threshold] 1/C sum_c (p_ic - q_ic)^2``, p and q being the softmaxes
    of student and teacher.

    Args:
        student: Logits of what learns.
        teacher: Logits; no gradient passes through them.
        threshold: Least probability of the teacher's class, in [0, 1]; 0 keeps all.

    Returns:
        The loss, and the part of the rows that is kept, in [0, 1].
    """
    q = F.softmax(teacher.detach(), dim=1)
    kept = (q.amax(dim=1) >= threshold).to(q.dtype)
    each = (F.softmax(student, dim=1) - q).square().mean(dim=1)
    return (kept * each).mean(), kept.mean()


def mean_entropy(logits: Float[Tensor, "b c"]) -> Float[Tensor, ""]:
    """Returns ``1/B sum_i H(p_i)`` in nats, p the softmax: 0 where all rows are certain."""
    return -(F.softmax(logits, dim=1) * F.log_softmax(logits, dim=1)).sum(dim=1).mean()


def marginal_entropy(logits: Float[Tensor, "b c"]) -> Float[Tensor, ""]:
    """Returns ``H(1/B sum_i p_i)`` in nats: ``log C`` where all classes are equally frequent."""
    p = F.softmax(logits, dim=1).mean(dim=0)
    return -(p * p.clamp_min(TINY).log()).sum()


def minimum_class_confusion(logits: Float[Tensor, "b c"], temperature: float) -> Float[Tensor, ""]:
    """How often a batch's predictions hesitate between two classes.

    ``1/C sum_j sum_{k != j} T_jk``, T being ``Y^T diag(w) Y`` with every row divided by its sum, Y
    the softmax of ``logits / temperature``. A row weighs ``w_i`` in proportion to
    ``1 + exp(-H(Y_i))``, together B: the certain ones count more. No gradient passes through w.

    Args:
        logits: Of unlabelled examples.
        temperature: Above 0; above 1 it flattens what is overconfident.

    Returns:
        From 0, where all rows are certain, to ``1 - 1/C``, where none knows anything.
    """
    y = F.softmax(logits / temperature, dim=1)
    entropy = torch.special.entr(y.detach()).sum(dim=1)
    w = 1.0 + torch.exp(-entropy)
    w = len(w) * w / w.sum()
    confusion = (w.unsqueeze(1) * y).T @ y
    confusion = confusion / confusion.sum(dim=1, keepdim=True).clamp_min(TINY)
    return (confusion.sum() - confusion.trace()) / len(confusion)


def centroid_labels(
    features: Float[Tensor, "n d"], probabilities: Float[Tensor, "n c"]
) -> Int[Tensor, " n"]:
    """Labels each example by the nearest class centre, once found and once refined.

    Centres are ``mu_c = sum_i p_ic f_i / sum_i p_ic``, distances those of the cosine, and features
    have a constant 1 added before they are brought to length 1. The labels of these centres give
    the centres again, now as plain means, and those the labels. A class that nothing is nearest to
    at first gets no label after.

    Args:
        features: f.
        probabilities: p, of the classes.
    """
    f = F.normalize(F.pad(features, (0, 1), value=1.0), dim=1)
    weights = probabilities
    for _ in range(2):
        centres = F.normalize(weights.T @ f, dim=1)  # of a sum or of a mean: one direction
        nearest = (f @ centres.T).masked_fill(weights.sum(dim=0) == 0, -torch.inf).argmax(dim=1)
        weights = F.one_hot(nearest, probabilities.shape[1]).to(f.dtype)
    return nearest
