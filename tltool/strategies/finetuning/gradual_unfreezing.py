"""Gradual unfreezing: first the head learns, then one more group of layers in each stage."""

from collections.abc import Sequence
from typing import Any, ClassVar

from tltool.backbones.base import Net
from tltool.strategies.base import Batch, DataSpec, Losses, Stage, Strategy
from tltool.strategies.supervised import supervised


class GradualUnfreezing(Strategy):
    """``CE(h(f(x)), y)`` in as many stages as there are groups of layers, the head being one.

    The first stage trains the head, each further one also the next group down from the output,
    and the last stage everything. The stages share the steps equally. What is frozen is in eval
    mode.

    Each stage runs the schedule of the rate from its start, with an optimiser of its own; the
    paper has one epoch a stage and one schedule over all.

    Batch: ``x``, ``y`` (B,).

    References:
        [0] Howard & Ruder, Universal language model fine-tuning for text classification, ACL 2018.
    """

    feed: ClassVar[str] = "plain"
    regression: ClassVar[bool] = True
    controls: ClassVar[tuple[str, ...]] = ("linear_probe", "from_scratch")

    def build(self, net: Net, spec: DataSpec) -> None:
        """Counts the backbone's groups of layers."""
        self.groups = len(net.backbone.layer_groups())

    def stages(self) -> Sequence[Stage]:
        """Returns a stage for the head and one for each group of layers; only once built."""
        return [Stage("head"), *(Stage(f"top {top}") for top in range(1, self.groups + 1))]

    def param_groups(self, net: Net, stage: int) -> list[dict[str, Any]]:
        """Returns the head and as many of the last groups of layers as stages are over."""
        groups = net.backbone.layer_groups()
        unfrozen = [p for group in groups[len(groups) - stage :] for p in group]
        return [{"params": [*unfrozen, *net.head.parameters()]}]

    def loss(self, net: Net, batch: Batch, progress: float) -> Losses:
        """Returns the term ``classification``."""
        return supervised(net, batch)
