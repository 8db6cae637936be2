"""Open-set domain adaptation by backpropagation."""

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tltool.backbones.base import Net
from tltool.losses.adversarial import gradient_reversal, reversal_coefficient, unknown_loss
from tltool.losses.classification import accuracy
from tltool.strategies.base import Batch, DataSpec, Losses
from tltool.strategies.pairs import BatchNorm, PairStrategy, forward_pair


class OSBP(PairStrategy):
    """Adaptation to a target that also holds examples of none of the source's classes.

    Minimises, over backbone f and a head h of C + 1 outputs at once,

        CE(h(f(x_s)), y_s) + BCE(u(R(f(x_t))), threshold)

    with ``u = softmax(h(.))[C]``, the probability of none of the classes, and R the identity whose
    gradient is multiplied by ``-c(p)``, c(p) that of `dann`. The head holds u at the threshold,
    the backbone pushes it away: each target example towards the known classes or towards none.

    Predicts C + 1 classes, the last one being none of the others. The first C outputs are the
    network's head, the last one is a linear unit beside it.

    Batch: ``source.x``, ``source.y`` (B,), ``target.x``; target labels are never seen.

    Args:
        threshold: What the head holds u at, in (0, 1).
        gamma: Steepness of the coefficient's schedule.
        batch_norm: ``joint``: one forward pass over both domains, normalised by the mixture;
            ``separate``: one pass each.

    References:
        [0] Saito et al., Open set domain adaptation by backpropagation, ECCV 2018; there the
            gradient is reversed at full strength from the start.
        [1] Transfer-Learning-Library, `osbp.py`, likewise; two more layers come before its head.
    """

    rejects: ClassVar[bool] = True

    def __init__(
        self, threshold: float = 0.5, gamma: float = 10.0, batch_norm: BatchNorm = "joint"
    ) -> None:
        super().__init__()
        if not 0 < threshold < 1:
            raise ValueError(f"threshold must be above 0 and below 1, got {threshold}")
        self.threshold, self.gamma = threshold, gamma
        self.batch_norm: BatchNorm = batch_norm

    def build(self, net: Net, spec: DataSpec) -> None:
        """Creates the output of none of the classes."""
        self.none = nn.Linear(net.backbone.num_features, 1)

    def loss(self, net: Net, batch: Batch, progress: float) -> Losses:
        """Returns the terms ``classification`` and ``unknown``; logs the ``rejected`` part."""
        pair = forward_pair(net, batch, self.batch_norm)
        logits = torch.cat([pair.source_logits, self.none(pair.source)], dim=1)
        coefficient = reversal_coefficient(progress, self.gamma)
        target = self.logits(net, gradient_reversal(pair.target, coefficient))
        rejected = (target.detach().argmax(dim=1) == target.shape[1] - 1).float().mean()
        return Losses(
            {
                "classification": F.cross_entropy(logits, pair.y),
                "unknown": unknown_loss(target, self.threshold),
            },
            {"accuracy": accuracy(logits, pair.y), "rejected": rejected},
        )

    def logits(self, net: Net, features: Tensor) -> Tensor:
        """Returns logits ``(B, C + 1)``, the last one of none of the classes."""
        return torch.cat([net.head(features), self.none(features)], dim=1)
