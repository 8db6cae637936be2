"""What strategies that learn from a source and a target batch share."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from tltool.backbones.base import Input, Net

BatchNorm = Literal["joint", "separate"]


def concat(a: Input, b: Input) -> Input:
    """Joins two inputs along the batch: tensors, or dicts of tensors (B, L).

    The shorter texts are filled up with 0, which the attention mask shows.
    """
    if isinstance(a, dict) and isinstance(b, dict):
        length = {key: max(a[key].shape[1], b[key].shape[1]) for key in a}
        return {
            key: torch.cat([F.pad(x[key], (0, length[key] - x[key].shape[1])) for x in (a, b)])
            for key in a
        }
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return torch.cat([a, b])
    raise TypeError(f"cannot join {type(a).__name__} and {type(b).__name__}")


def pair_features(
    net: Net, source: Input, target: Input, size: int, batch_norm: BatchNorm
) -> tuple[Tensor, Tensor]:
    """Returns source and target features ``(B, D)``.

    ``joint``: one forward pass, BatchNorm sees the mixture of both domains. ``separate``: two,
    each domain is normalised by its own statistics, and the running ones see both in turn.

    Args:
        net: The network.
        source: Source inputs.
        target: Target inputs.
        size: How many the source inputs are.
        batch_norm: Which of the two.
    """
    if batch_norm == "separate":
        return net.features(source), net.features(target)
    features = net.features(concat(source, target))
    return features[:size], features[size:]
