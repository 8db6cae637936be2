"""Discriminative fine-tuning: the nearer to the input, the more slowly a layer learns."""

from collections.abc import Mapping
from typing import Any, ClassVar

from tltool.backbones.base import Net
from tltool.strategies.base import Batch, Losses, Strategy
from tltool.strategies.supervised import supervised


class Discriminative(Strategy):
    """All layers learn, ``CE(h(f(x)), y)``, the layers near the input more slowly.

    The head learns at `optimizer.lr`, and each group of layers below it at the rate of the one
    above it divided by ``decay``. The paper pairs it with ``optimizer.schedule=slanted``.

    Batch: ``x``, ``y`` (B,).

    Args:
        decay: What the rate is divided by from one group to the next, at least 1; 1 is full
            fine-tuning. The paper has 2.6 for its 4 groups; for the many blocks of a ViT 1.3 to
            1.5 is usual (layer-wise decay of 0.65 to 0.75).

    References:
        [0] Howard & Ruder, Universal language model fine-tuning for text classification, ACL 2018.
    """

    feed: ClassVar[str] = "plain"
    regression: ClassVar[bool] = True
    controls: ClassVar[tuple[str, ...]] = ("linear_probe", "from_scratch")
    limit: ClassVar[Mapping[str, Any]] = {"decay": 1.0}

    def __init__(self, decay: float = 2.6) -> None:
        super().__init__()
        if decay < 1:
            raise ValueError(f"decay must be at least 1, got {decay}")
        self.decay = decay

    def param_groups(self, net: Net, stage: int) -> list[dict[str, Any]]:
        """Returns the head, then the backbone's groups of layers from the output down."""
        layers = [list(net.head.parameters()), *reversed(net.backbone.layer_groups())]
        return [
            {"params": group, "lr_scale": self.decay**-depth} for depth, group in enumerate(layers)
        ]

    def loss(self, net: Net, batch: Batch, progress: float) -> Losses:
        """Returns the term ``classification``."""
        return supervised(net, batch)
