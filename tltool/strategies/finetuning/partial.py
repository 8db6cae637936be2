"""Partial fine-tuning: the layers near the output learn, those near the input stay."""

from typing import Any, ClassVar

from tltool.backbones.base import Net
from tltool.strategies.base import Batch, DataSpec, Losses, Strategy
from tltool.strategies.supervised import supervised


class Partial(Strategy):
    """The head and the backbone's last layers learn, ``CE(h(f(x)), y)``; the others are frozen.

    Frozen parts are in eval mode, so that their BatchNorm statistics stay too.

    Batch: ``x``, ``y`` (B,).

    Args:
        top: How many groups of layers of the backbone learn, counted from its output: stages of
            a ResNet, blocks of a ViT. 0 trains the head alone.

    Raises:
        ValueError: The backbone has fewer groups; its stem is one.

    References:
        [0] Yosinski et al., How transferable are features in deep neural networks?, NeurIPS 2014.
    """

    feed: ClassVar[str] = "plain"
    regression: ClassVar[bool] = True
    controls: ClassVar[tuple[str, ...]] = ("linear_probe", "from_scratch")

    def __init__(self, top: int = 1) -> None:
        super().__init__()
        if top < 0:
            raise ValueError(f"top must not be negative, got {top}")
        self.top = top

    def build(self, net: Net, spec: DataSpec) -> None:
        """Checks that the backbone has as many groups."""
        count = len(net.backbone.layer_groups())
        if self.top > count:
            raise ValueError(
                f"strategy.top={self.top}: this backbone has {count} groups of layers; "
                f"type strategy.top=N with N from 0 to {count}"
            )

    def param_groups(self, net: Net, stage: int) -> list[dict[str, Any]]:
        """Returns the head and the last groups of layers, all at one rate."""
        groups = net.backbone.layer_groups()
        trained = [p for group in groups[len(groups) - self.top :] for p in group]
        return [{"params": [*trained, *net.head.parameters()]}]

    def loss(self, net: Net, batch: Batch, progress: float) -> Losses:
        """Returns the term ``classification``."""
        return supervised(net, batch)
