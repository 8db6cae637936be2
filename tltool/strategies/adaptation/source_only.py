"""Training on the source alone."""

from collections.abc import Mapping
from typing import Any, ClassVar

from tltool.backbones.base import Net
from tltool.strategies.base import Batch, Losses, Strategy
from tltool.strategies.supervised import supervised


class SourceOnly(Strategy):
    """The control of every adaptation method: ``CE(h(f(x_s)), y_s)``, nothing else.

    It never reads the target; what it scores there is what one has without adaptation.

    Batch: ``x``, ``y`` (B,) of the source.
    """

    feed: ClassVar[str] = "plain"
    regression: ClassVar[bool] = True
    limit: ClassVar[Mapping[str, Any]] = {}

    def loss(self, net: Net, batch: Batch, progress: float) -> Losses:
        """Returns the term ``classification``."""
        return supervised(net, batch)
