"""Training on the target's labels."""

from collections.abc import Sequence
from typing import ClassVar

from tltool.backbones.base import Net
from tltool.strategies.base import Batch, Losses, Stage, Strategy
from tltool.strategies.supervised import supervised


class TrainOnTarget(Strategy):
    """What adaptation could reach at most: ``CE(h(f(x_t)), y_t)``, with labels it does not have.

    Batch: ``x``, ``y`` (B,) of the target's training split.
    """

    feed: ClassVar[str] = "plain"
    regression: ClassVar[bool] = True
    uses_target_labels: ClassVar[bool] = True

    def stages(self) -> Sequence[Stage]:
        """Returns one stage, on the target."""
        return [Stage(options={"domain": "target"})]

    def loss(self, net: Net, batch: Batch, progress: float) -> Losses:
        """Returns the term ``classification``."""
        return supervised(net, batch)
