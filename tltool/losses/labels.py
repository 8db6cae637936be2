"""What is lost on labels, be they classes or numbers."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from tltool.losses.classification import accuracy


def label_loss(
    outputs: Float[Tensor, "b c"], y: Tensor, weights: Float[Tensor, " b"] | None = None
) -> Float[Tensor, ""]:
    """Returns the cross-entropy of classes, or the squared error of numbers; the batch's mean.

    ``mean_i w_i CE(outputs_i, y_i)``, or ``mean_i w_i (outputs_i - y_i)^2``.

    Args:
        outputs: Logits ``(B, C)``, or the numbers ``(B, 1)``.
        y: Classes ``(B,)``, int64; numbers ``(B,)`` are floating.
        weights: Of each example; 1 by default. They are not made to add up to B.
    """
    if y.is_floating_point():
        each = (outputs.squeeze(1) - y) ** 2
    else:
        each = F.cross_entropy(outputs, y, reduction="none")
    return each.mean() if weights is None else (weights * each).mean()


def label_metrics(outputs: Float[Tensor, "b c"], y: Tensor) -> dict[str, Tensor]:
    """Returns ``accuracy`` of classes in [0, 1], or ``error``, the mean absolute one, of numbers.

    Args:
        outputs: See `label_loss`.
        y: See `label_loss`.
    """
    if y.is_floating_point():
        return {"error": (outputs.squeeze(1) - y).abs().mean()}
    return {"accuracy": accuracy(outputs, y)}
