"""Full fine-tuning."""

from collections.abc import Mapping
from typing import Any, ClassVar

from tltool.backbones.base import Net
from tltool.strategies.base import Batch, Losses, Strategy
from tltool.strategies.supervised import supervised


class Finetune(Strategy):
    """All layers learn, ``CE(h(f(x)), y)``; the backbone may learn more slowly than the head.

    Batch: ``x``, ``y`` (B,).

    Args:
        backbone_lr: Learning rate of the backbone, times `optimizer.lr`.
    """

    feed: ClassVar[str] = "plain"
    regression: ClassVar[bool] = True
    limit: ClassVar[Mapping[str, Any]] = {}
    controls: ClassVar[tuple[str, ...]] = ("linear_probe", "from_scratch")

    def __init__(self, backbone_lr: float = 1.0) -> None:
        super().__init__()
        if backbone_lr < 0:
            raise ValueError(f"backbone_lr must not be negative, got {backbone_lr}")
        self.backbone_lr = backbone_lr

    def param_groups(self, net: Net, stage: int) -> list[dict[str, Any]]:
        """Returns the head's group and, unless its rate is 0, the backbone's."""
        groups: list[dict[str, Any]] = [{"params": list(net.head.parameters())}]
        if self.backbone_lr > 0:
            backbone = list(net.backbone.parameters())
            groups.append({"params": backbone, "lr_scale": self.backbone_lr})
        return groups

    def loss(self, net: Net, batch: Batch, progress: float) -> Losses:
        """Returns the term ``classification``."""
        return supervised(net, batch)
