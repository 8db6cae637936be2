"""What it costs to move one batch's joint distribution onto another's."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from tltool.losses.metric import minus_squared_distances


def joint_cost(
    source: Float[Tensor, "s d"],
    y: Int[Tensor, " s"],
    target: Float[Tensor, "t d"],
    target_logits: Float[Tensor, "t c"],
    feature_weight: float,
    label_weight: float,
) -> Float[Tensor, "s t"]:
    """Returns ``feature_weight |f_s - f_t|^2 + label_weight CE(p_t, y_s)`` of every pair.

    Args:
        source: Features f_s.
        y: Their labels.
        target: Features f_t.
        target_logits: What is predicted of them: ``p_t = softmax``.
        feature_weight: alpha in the paper.
        label_weight: lambda in the paper.

    References:
        [0] Damodaran et al., DeepJDOT, ECCV 2018, equation 7.
    """
    distances = -minus_squared_distances(source, target)
    labels = -F.log_softmax(target_logits.float(), dim=1).T[y]
    return feature_weight * distances + label_weight * labels


@torch.no_grad()
def optimal_plan(cost: Float[Tensor, "s t"]) -> Float[Tensor, "s t"]:
    """Returns the plan P of least ``<P, cost>``, all rows and all columns weighing the same.

    Exact, by POT on the CPU in float64; its entries sum to 1, and it is a constant.
    """
    import ot

    plan = ot.emd([], [], cost.detach().double().cpu().numpy())
    return torch.from_numpy(plan).to(cost)
