"""Empirical risk minimisation over several sources."""

from collections.abc import Mapping
from typing import Any, ClassVar

from tltool.backbones.base import Net
from tltool.strategies.base import Batch, Losses, Strategy
from tltool.strategies.supervised import supervised


class ERM(Strategy):
    """The control of every generalisation method: ``mean_e mean_(i in e) CE(h(f(x_i)), y_i)``.

    It learns from the batches that those learn from, as many examples of every source e, and does
    nothing with what sets the sources apart. Training on the source alone (``source_only``) is the
    same in smaller batches: there the sources share ``dataset.batch_size``, here each has so many.

    Batch: ``x``, ``y`` (B,); the target is never read.

    References:
        [0] Gulrajani & Lopez-Paz, In search of lost domain generalization, ICLR 2021: tuned as
            well as the others, it is hard to beat.
    """

    feed: ClassVar[str] = "sources"
    needs_sources: ClassVar[bool] = True
    limit: ClassVar[Mapping[str, Any]] = {}
    limit_of: ClassVar[str] = "erm"

    def loss(self, net: Net, batch: Batch, progress: float) -> Losses:
        """Returns the term ``classification``."""
        return supervised(net, batch)
