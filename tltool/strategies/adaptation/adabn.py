"""AdaBN: the target's statistics in place of the source's."""

from collections.abc import Mapping
from typing import Any, ClassVar

from tltool.backbones.base import Net
from tltool.losses.labels import label_loss, label_metrics
from tltool.strategies.base import Batch, DataSpec, Losses, StageData, Strategy
from tltool.strategies.batch_norm import batch_norms, estimate_statistics


class AdaBN(Strategy):
    """Trains on the source alone, then normalises by the target.

    After ``CE(h(f(x_s)), y_s)``, the running means and variances of every BatchNorm layer are
    forgotten and estimated anew in one pass over the target's training examples: the average over
    batches, not the moving one, which would depend on their order. No weight changes.

    What it scores on the source is by the target's statistics too.

    Batch: ``source.x``, ``source.y`` (B,); the target's images are read once, at the end.

    Raises:
        ValueError: The backbone has no BatchNorm.

    References:
        [0] Li et al., Revisiting batch normalization for practical domain adaptation, ICLR
            workshop 2017.
    """

    feed: ClassVar[str] = "pair"
    controls: ClassVar[tuple[str, ...]] = ("source_only", "train_on_target")
    limit: ClassVar[Mapping[str, Any]] = {}
    needs_batch_norm: ClassVar[bool] = True

    def build(self, net: Net, spec: DataSpec) -> None:
        """Looks for BatchNorm."""
        if not batch_norms(net):
            raise ValueError(
                "strategy=adabn estimates the statistics of BatchNorm, and this backbone has no "
                "such layer: type backbone=lenet or backbone=resnet18"
            )

    def loss(self, net: Net, batch: Batch, progress: float) -> Losses:
        """Returns the term ``classification``."""
        logits, y = net(batch["source"]["x"]), batch["source"]["y"]
        return Losses({"classification": label_loss(logits, y)}, label_metrics(logits, y))

    def end_stage(self, net: Net, stage: int, data: StageData) -> None:
        """Estimates the statistics."""
        estimate_statistics(net, data.examples("target", shuffled=True))
