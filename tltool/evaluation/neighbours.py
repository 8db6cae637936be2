"""Classification by the nearest features."""

import torch.nn.functional as F
from torch import Tensor

K = 20  # neighbours that vote; 200 in Wu et al. for ImageNet, 20 in most work after it
TEMPERATURE = 0.07  # of the weight of a vote, Wu et al., section 3.4


def knn_votes(
    query: Tensor,
    bank: Tensor,
    labels: Tensor,
    num_classes: int,
    k: int = K,
    temperature: float = TEMPERATURE,
) -> Tensor:
    """Returns ``sum_{i in N_k(q)} [y_i = c] exp(cos(q, b_i) / temperature)`` for each class c.

    Args:
        query: Features ``(Q, D)``.
        bank: Features ``(N, D)`` whose labels are known.
        labels: Theirs ``(N,)``.
        num_classes: C.
        k: Neighbours that vote; all of the bank where it has fewer.
        temperature: The lower, the more the nearest ones count.

    Returns:
        Votes ``(Q, C)``.

    References:
        [0] Wu et al., Unsupervised feature learning via non-parametric instance discrimination,
            CVPR 2018.
    """
    similar = F.normalize(query, dim=1) @ F.normalize(bank, dim=1).T
    nearest, index = similar.topk(min(k, len(bank)), dim=1)
    votes = query.new_zeros(len(query), num_classes)
    return votes.scatter_add_(1, labels[index], (nearest / temperature).exp())
