"""Deep CORAL: features whose covariances agree."""

from collections.abc import Mapping
from typing import Any, ClassVar

from tltool.backbones.base import Net
from tltool.losses.discrepancy import coral
from tltool.strategies.base import Losses
from tltool.strategies.pairs import BatchNorm, Pair, PairStrategy


class CORAL(PairStrategy):
    """Features that vary together in the same way in both domains.

        CE(h(f(x_s)), y_s) + trade_off * |C_s - C_t|_F^2 / (4 d^2)

    C is the covariance ``(d, d)`` of the batch's features, divided by n - 1, d their length. The
    means are not matched. The scaling is the paper's: the term is a quarter of the mean squared
    difference of the entries, so that a weight found for another scaling, or with a term for the
    means, does not carry over: TLlib's and DomainBed's is 4 times larger.

    Batch: ``source.x``, ``source.y`` (B,), ``target.x``; target labels are never seen.

    Args:
        trade_off: Weight of the difference so scaled; 0 is training on the source alone. The
            paper's rule: so large that both terms are about as large at the end of the training.
        batch_norm: ``joint``: one forward pass over both domains, normalised by the mixture;
            ``separate``: one pass each.

    References:
        [0] Sun & Saenko, Deep CORAL: correlation alignment for deep domain adaptation, ECCV
            workshops 2016; it matches the outputs of the last layer, here the features.
        [1] DomainBed, `algorithms.py`, and Transfer-Learning-Library, `coral.py`: the mean squared
            difference of the entries, and a term for the means.
    """

    regression: ClassVar[bool] = True
    limit: ClassVar[Mapping[str, Any]] = {"trade_off": 0.0, "batch_norm": "separate"}

    def __init__(self, trade_off: float = 100.0, batch_norm: BatchNorm = "joint") -> None:
        super().__init__()
        if trade_off < 0:
            raise ValueError(f"trade_off must not be negative, got {trade_off}")
        self.trade_off = trade_off
        self.batch_norm: BatchNorm = batch_norm

    def transfer(self, net: Net, pair: Pair, progress: float) -> Losses:
        """Returns the term ``coral``."""
        return Losses({"coral": self.trade_off * coral(pair.source, pair.target)})
