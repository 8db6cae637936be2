"""Reweighing: examples count so that group and class are independent."""

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from tltool.backbones.base import Net
from tltool.losses.classification import accuracy
from tltool.losses.fairness import reweighing_weights
from tltool.strategies.base import Batch, DataSpec, Losses, Strategy


class Reweighing(Strategy):
    """``mean_i w(a_i, y_i) CE(h(f(x_i)), y_i)`` with ``w(a, y) = P(a) P(y) / P(a, y)``.

    The probabilities are those of the source's training examples. Examples whose group is not
    known have weight 1. It changes what a network learns only where the input shows the group, or
    something that goes with it: a network that cannot tell the groups apart has nothing to unlearn.
    Large weights make the gradient noisy, so that it may need more steps than training without.

    Batch: ``x``, ``y`` (B,), ``group`` (B,), -1 where it is not known.

    References:
        [0] Kamiran & Calders, Data preprocessing techniques for classification without
            discrimination, Knowledge and Information Systems 2012; they weigh the loss or resample
            by the weights, here the loss is weighed.
    """

    feed: ClassVar[str] = "plain"
    needs_group: ClassVar[bool] = True
    controls: ClassVar[tuple[str, ...]] = ("finetune",)

    weights: Tensor

    def build(self, net: Net, spec: DataSpec) -> None:
        """Creates the weights ``(A, C)``."""
        self.register_buffer("weights", reweighing_weights(torch.tensor(spec.group_counts)))

    def loss(self, net: Net, batch: Batch, progress: float) -> Losses:
        """Returns the weighted term ``classification``."""
        y, group = batch["y"], batch["group"]
        logits = net(batch["x"])
        weights = self.weights[group.clamp_min(0), y]
        weights = torch.where(group >= 0, weights, 1.0)
        loss = (weights * F.cross_entropy(logits, y, reduction="none")).mean()
        return Losses({"classification": loss}, {"accuracy": accuracy(logits, y)})
