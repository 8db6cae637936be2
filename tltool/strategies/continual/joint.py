"""All contexts at once."""

from typing import ClassVar

from tltool.backbones.base import Net
from tltool.strategies.base import Batch, Losses, Strategy
from tltool.strategies.continual.stages import masked_supervised


class Joint(Strategy):
    """All contexts mixed, ``CE(h(f(x)), y)`` over the classes that are possible in each example's.

    Nothing is forgotten, so that it is the upper bound that methods against forgetting are
    compared with. It gets all of the steps.

    Batch: ``x``, ``y`` (B,), ``classes`` (B, C).

    References:
        [0] van de Ven, Tuytelaars & Tolias, Three types of incremental learning, Nature Machine
            Intelligence 2022 ("Joint").
    """

    feed: ClassVar[str] = "contexts"

    def loss(self, net: Net, batch: Batch, progress: float) -> Losses:
        """Returns the term ``classification``."""
        return masked_supervised(net, batch)
