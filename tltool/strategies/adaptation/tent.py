"""Tent: entropy minimisation by what scales and shifts normalised features, without the source."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from torch import nn

from tltool.backbones.base import Net
from tltool.losses.self_training import marginal_entropy, mean_entropy
from tltool.strategies.base import Batch, DataSpec, Losses, Stage, StageData, Strategy
from tltool.strategies.batch_norm import batch_norms, estimate_statistics
from tltool.strategies.self_training import warn_collapse
from tltool.strategies.supervised import supervised


class Tent(Strategy):
    """Learns the source, then makes predictions on the target certain, through few weights.

    After ``CE(h(f(x_s)), y_s)``, it minimises ``mean_i H(softmax(h(f(x_i))))`` over the target's
    training examples, by scale and shift of every BatchNorm layer alone, which normalises by the
    batch meanwhile. At the end its running statistics are estimated over the target in one pass.
    Where there is no BatchNorm, scale and shift of LayerNorm are trained.

    In [0] it runs on the test examples as they come, and predicts each batch by its own statistics;
    here it runs on the target's training split, so that it can be compared with other methods.

    Batch: ``x``, ``y`` (B,) of the source, then ``x``, ``index`` (B,) of the target.

    Logged: ``marginal_entropy``, H(mean p) in nats: log C where all classes are predicted.

    Args:
        source_share: Part of the steps that the source gets, in (0, 1).
        lr_scale: Rate of the adaptation, times ``optimizer.lr``, above 0.

    Raises:
        ValueError: The backbone has neither kind of layer.

    References:
        [0] Wang et al., Tent: fully test-time adaptation by entropy minimization, ICLR 2021.
        [1] DequanWang/tent; without BatchNorm it does nothing.
    """

    feed: ClassVar[str] = "unlabelled"
    controls: ClassVar[tuple[str, ...]] = ("source_only", "train_on_target")

    def __init__(self, source_share: float = 0.8, lr_scale: float = 0.1) -> None:
        super().__init__()
        if not 0 < source_share < 1:
            raise ValueError(f"source_share must be above 0 and below 1, got {source_share}")
        if not lr_scale > 0:
            raise ValueError(f"lr_scale must be above 0, got {lr_scale}")
        self.source_share, self.lr_scale = source_share, lr_scale

    def build(self, net: Net, spec: DataSpec) -> None:
        """Looks for layers to train."""
        self.classes = spec.num_classes
        if not _affine(net):
            raise ValueError(
                "strategy=tent trains what scales and shifts normalised features, and this "
                "backbone has neither BatchNorm nor LayerNorm: type backbone=lenet"
            )

    def stages(self) -> Sequence[Stage]:
        """Returns the training on the source, and the adaptation, which never sees it."""
        return [
            Stage("source", share=self.source_share, feed="plain"),
            Stage("adapt", share=1.0 - self.source_share),
        ]

    def param_groups(self, net: Net, stage: int) -> list[dict[str, Any]]:
        """Returns the network, then what scales and shifts alone, which does not decay."""
        if stage == 0:
            return [{"params": list(net.parameters())}]
        return [{"params": _affine(net), "lr_scale": self.lr_scale, "weight_decay": 0.0}]

    def loss(self, net: Net, batch: Batch, progress: float) -> Losses:
        """Returns the term ``classification``, then ``entropy``."""
        if self.stage == 0:
            return supervised(net, batch)
        logits = net(batch["x"])
        marginal = marginal_entropy(logits.detach())
        return Losses({"entropy": mean_entropy(logits)}, {"marginal_entropy": marginal})

    def end_stage(self, net: Net, stage: int, data: StageData) -> None:
        """Estimates the statistics over the target."""
        if stage == 1 and batch_norms(net):
            estimate_statistics(net, data.examples(shuffled=True))

    def diagnose(self, history: Sequence[Mapping[str, float]]) -> list[str]:
        """Warns when few classes are predicted."""
        return warn_collapse(history, self.classes)


def _affine(net: Net) -> list[nn.Parameter]:
    """Returns scale and shift of BatchNorm, of LayerNorm where there is none."""
    layers: list[nn.Module] = [*batch_norms(net)]
    layers = layers or [m for m in net.modules() if isinstance(m, nn.LayerNorm)]
    return [parameter for layer in layers for parameter in layer.parameters()]
