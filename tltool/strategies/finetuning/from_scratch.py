"""Training from scratch: what one has without pretrained weights."""

from typing import ClassVar

from tltool.backbones.base import Net
from tltool.strategies.base import Batch, DataSpec, Losses, Strategy
from tltool.strategies.supervised import supervised


class FromScratch(Strategy):
    """All layers learn, ``CE(h(f(x)), y)``, from random weights whatever the backbone brings.

    It answers whether the transfer helped at all. Only the weights are thrown away: inputs keep
    the size and the normalisation that belong to them, so that nothing else differs.

    Batch: ``x``, ``y`` (B,).
    """

    feed: ClassVar[str] = "plain"
    regression: ClassVar[bool] = True
    controls: ClassVar[tuple[str, ...]] = ("linear_probe",)

    def build(self, net: Net, spec: DataSpec) -> None:
        """Throws the backbone's weights away."""
        net.backbone.reset()

    def loss(self, net: Net, batch: Batch, progress: float) -> Losses:
        """Returns the term ``classification``."""
        return supervised(net, batch)
