"""A linear classifier on frozen features."""

from collections.abc import Sequence
from typing import Any, ClassVar

from tltool.backbones.base import Net
from tltool.strategies.base import Batch, DataSpec, Losses, Stage, Strategy
from tltool.strategies.supervised import supervised


class LinearProbe(Strategy):
    """Only the head learns, ``CE(h(f(x)), y)`` with f frozen and in eval mode.

    Batch: ``x`` (features ``(B, D)`` where they are cached), ``y`` (B,).

    Args:
        cache: Compute each image's features once and train on them; ``false`` computes them in
            every step, which augmentation needs.
        random: Throw the backbone's weights away first: what is left is what its architecture
            gives, the least that learned features must beat.
    """

    feed: ClassVar[str] = "plain"
    regression: ClassVar[bool] = True
    controls: ClassVar[tuple[str, ...]] = ("from_scratch",)

    def __init__(self, cache: bool = True, random: bool = False) -> None:
        super().__init__()
        self.cache, self.random = cache, random

    def build(self, net: Net, spec: DataSpec) -> None:
        """Throws the backbone's weights away, where asked to."""
        if self.random:
            net.backbone.reset()

    def stages(self) -> Sequence[Stage]:
        """Returns one stage, on cached features unless told otherwise."""
        return [Stage("probe", cached_features=self.cache)]

    def param_groups(self, net: Net, stage: int) -> list[dict[str, Any]]:
        """Returns the head alone."""
        return [{"params": list(net.head.parameters())}]

    def loss(self, net: Net, batch: Batch, progress: float) -> Losses:
        """Returns the term ``classification``."""
        return supervised(net, batch)
