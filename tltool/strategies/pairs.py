"""What strategies that learn from a source and a target batch share."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from tltool.backbones.base import Input, Net
from tltool.losses.labels import label_loss, label_metrics
from tltool.strategies.base import Batch, Losses, Strategy

BatchNorm = Literal["joint", "separate"]


@dataclass(frozen=True)
class Pair:
    """A batch of both domains after its pass through the network.

    Args:
        source: Features of the source ``(B, D)``.
        target: Features of the target ``(B, D)``.
        source_logits: ``(B, C)``.
        target_logits: ``(B, C)``.
        y: Labels of the source ``(B,)``.
        batch: What it came from.
    """

    source: Tensor
    target: Tensor
    source_logits: Tensor
    target_logits: Tensor
    y: Tensor
    batch: Batch


class PairStrategy(Strategy):
    """Learns from the source's labels, and from terms that both domains enter.

    Minimises ``CE(h(f(x_s)), y_s)`` plus what a subclass returns from `transfer`; where labels are
    numbers, the squared error stands in place of CE. Both domains go through the network in one
    pass, or in one each (``batch_norm``), and `transfer` sees what came out of it. So several such
    strategies can share one pass: `tltool.strategies.adaptation.combined`.

    Attributes:
        batch_norm: ``joint``: one forward pass over both domains, normalised by the mixture;
            ``separate``: one pass each. A subclass takes it as an option.
    """

    feed: ClassVar[str] = "pair"
    controls: ClassVar[tuple[str, ...]] = ("source_only", "train_on_target")
    batch_norm: BatchNorm = "joint"

    def transfer(self, net: Net, pair: Pair, progress: float) -> Losses:
        """Returns the terms beside that of the labels, weights applied, and metrics to log.

        Args:
            net: The network.
            pair: What it made of the batch, gradients attached.
            progress: Part of this stage that is done, in [0, 1].
        """
        raise NotImplementedError(f"{type(self).__name__} defines no transfer")

    def loss(self, net: Net, batch: Batch, progress: float) -> Losses:
        """Returns the term ``classification``, and those of `transfer`."""
        pair = forward_pair(net, batch, self.batch_norm)
        more = self.transfer(net, pair, progress)
        label = label_loss(pair.source_logits, pair.y)
        return Losses(
            {"classification": label, **more.terms},
            {**label_metrics(pair.source_logits, pair.y), **more.metrics},
        )


def forward_pair(net: Net, batch: Batch, batch_norm: BatchNorm) -> Pair:
    """Puts a batch ``{source: {x, y}, target: {x}}`` through the network.

    ``joint``: one forward pass, BatchNorm sees the mixture of both domains. ``separate``: two,
    each domain is normalised by its own statistics, and the running ones see both in turn.
    """
    x_source, x_target, y = batch["source"]["x"], batch["target"]["x"], batch["source"]["y"]
    if batch_norm == "separate":
        source, target = net.features(x_source), net.features(x_target)
        return Pair(source, target, net.head(source), net.head(target), y, batch)
    features = net.features(concat(x_source, x_target))
    logits, size = net.head(features), len(y)
    return Pair(features[:size], features[size:], logits[:size], logits[size:], y, batch)


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
