"""Maximum classifier discrepancy."""

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tltool.backbones.base import Net
from tltool.losses.classification import accuracy
from tltool.losses.disparity import discrepancy
from tltool.strategies.base import Batch, DataSpec, Losses, Minimise
from tltool.strategies.freeze import frozen
from tltool.strategies.pairs import BatchNorm, PairStrategy, concat


class MCD(PairStrategy):
    """Target features that two heads agree on, although these learn to disagree.

    Three steps a batch, over backbone f and heads h1, h2, with ``L = CE(h1(f(x_s)), y_s) +
    CE(h2(f(x_s)), y_s)`` and ``d = mean |softmax(h1(f(x_t))) - softmax(h2(f(x_t)))|``:

        A. f, h1, h2 minimise L.
        B. h1, h2 minimise L - d, f as it is: they find what the source does not decide.
        C. f minimises d, h1 and h2 as they are, num_steps times.

    Logits are the mean of both heads'; which head is better on the target cannot be known. All
    steps are the optimiser's own, at its rate.

    Batch: ``source.x``, ``source.y`` (B,), ``target.x``; target labels are never seen.

    Args:
        num_steps: How often C is done in each batch.
        batch_norm: ``joint``: both domains go through the network together, in C too, and are
            normalised by the mixture; ``separate``: each by itself, in C the target alone.

    References:
        [0] Saito et al., Maximum classifier discrepancy for unsupervised domain adaptation,
            CVPR 2018.
        [1] https://github.com/mil-tokyo/MCD_DA. There, on digits, a head has three layers of its
            own and a domain goes through the network by itself; here heads are linear.
    """

    manual: ClassVar[bool] = True

    def __init__(self, num_steps: int = 4, batch_norm: BatchNorm = "joint") -> None:
        super().__init__()
        if num_steps < 1:
            raise ValueError(f"num_steps must be at least 1, got {num_steps}")
        self.num_steps = num_steps
        self.batch_norm: BatchNorm = batch_norm

    def build(self, net: Net, spec: DataSpec) -> None:
        """Creates the second head, which starts from other weights than the first."""
        self.second = nn.Linear(net.backbone.num_features, spec.num_classes)

    def step(self, net: Net, batch: Batch, progress: float, minimise: Minimise) -> Losses:
        """Makes the three steps; returns ``classification`` of A and the last ``discrepancy``."""
        y = batch["source"]["y"]
        source, _ = self._features(net, batch)
        outputs = net.head(source), self.second(source)
        label = F.cross_entropy(outputs[0], y) + F.cross_entropy(outputs[1], y)
        minimise(label)
        with torch.no_grad():
            source, target = self._features(net, batch)
        one, two = net.head(source), self.second(source)
        again = F.cross_entropy(one, y) + F.cross_entropy(two, y)
        minimise(again - discrepancy(net.head(target), self.second(target)))
        for _ in range(self.num_steps):
            target = self._target(net, batch)
            with frozen(net.head, self.second):
                apart = discrepancy(net.head(target), self.second(target))
            minimise(apart)
        right = accuracy((outputs[0] + outputs[1]).detach(), y)
        return Losses({"classification": label, "discrepancy": apart}, {"accuracy": right})

    def _features(self, net: Net, batch: Batch) -> tuple[Tensor, Tensor]:
        """Returns features ``(B, D)`` of source and target."""
        x_source, x_target = batch["source"]["x"], batch["target"]["x"]
        if self.batch_norm == "separate":
            return net.features(x_source), net.features(x_target)
        features, size = net.features(concat(x_source, x_target)), len(batch["source"]["y"])
        return features[:size], features[size:]

    def _target(self, net: Net, batch: Batch) -> Tensor:
        if self.batch_norm == "separate":
            return net.features(batch["target"]["x"])
        return self._features(net, batch)[1]

    def logits(self, net: Net, features: Tensor) -> Tensor:
        """Returns the mean of both heads' logits ``(B, C)``."""
        logits: Tensor = 0.5 * (net.head(features) + self.second(features))
        return logits
