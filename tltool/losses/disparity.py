"""How far two classifiers on the same features disagree."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def discrepancy(one: Float[Tensor, "b c"], other: Float[Tensor, "b c"]) -> Float[Tensor, ""]:
    """Returns ``mean_i 1/C sum_c |p_ic - q_ic|`` of two classifiers' probabilities p and q.

    Args:
        one: Logits, whose softmax is p.
        other: Logits, whose softmax is q.
    """
    return (one.softmax(dim=1) - other.softmax(dim=1)).abs().mean()


def margin_disparity(
    source: Float[Tensor, "s c"],
    source_adversary: Float[Tensor, "s c"],
    target: Float[Tensor, "t c"],
    target_adversary: Float[Tensor, "t c"],
    margin: float,
) -> Float[Tensor, ""]:
    """What an adversary minimises that agrees with a classifier on the source alone.

    ``margin * mean_s -log q_s[k_s] + mean_t -log(1 - q_t[k_t])`` with q the adversary's softmax
    and k the class that the classifier predicts, through which no gradient passes. It is, less
    what the margin adds, the negative of the margin disparity discrepancy.

    Args:
        source: Logits of the classifier.
        source_adversary: Logits of the adversary.
        target: Logits of the classifier.
        target_adversary: Logits of the adversary.
        margin: Weight of the source, ``exp(rho)`` for a margin rho in the bound of the paper.
    """
    agreed = F.cross_entropy(source_adversary, source.argmax(dim=1))
    predicted = F.one_hot(target.argmax(dim=1), target.shape[1]).bool()
    others = target_adversary.masked_fill(predicted, -torch.inf)
    # log(1 - q[k]) as a difference of two sums, so that no number is rounded to 0 before its log.
    log_not = torch.logsumexp(others, dim=1) - torch.logsumexp(target_adversary, dim=1)
    return margin * agreed - log_not.mean()
