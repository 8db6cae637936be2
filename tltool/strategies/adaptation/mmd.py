"""Deep adaptation network: features whose mean embeddings agree."""

from collections.abc import Mapping
from typing import Any, ClassVar

from tltool.backbones.base import Net
from tltool.losses.discrepancy import mmd
from tltool.strategies.base import Losses
from tltool.strategies.pairs import BatchNorm, Pair, PairStrategy


class MMD(PairStrategy):
    """Features whose distributions have the same mean in a space of kernels.

        CE(h(f(x_s)), y_s) + trade_off * MMD^2(f(x_s), f(x_t))

    MMD^2 is the quadratic estimate over all pairs of the batch, under the sum of five Gaussian
    kernels, ``sigma^2 = 2^k`` times the mean squared distance of the joint batch, k = -3 ... 1.

    Batch: ``source.x``, ``source.y`` (B,), ``target.x``; target labels are never seen.

    Args:
        trade_off: Weight of the discrepancy; 0 is training on the source alone.
        batch_norm: ``joint``: one forward pass over both domains, normalised by the mixture;
            ``separate``: one pass each.

    References:
        [0] Long et al., Learning transferable features with deep adaptation networks, ICML 2015.
            There several layers are matched, with learned weights of the kernels and an estimate
            in linear time; here the features, equal weights, and all pairs.
        [1] Transfer-Learning-Library, `dan.py`; it leaves out each example's pair with itself.
    """

    regression: ClassVar[bool] = True
    limit: ClassVar[Mapping[str, Any]] = {"trade_off": 0.0, "batch_norm": "separate"}

    def __init__(self, trade_off: float = 1.0, batch_norm: BatchNorm = "joint") -> None:
        super().__init__()
        if trade_off < 0:
            raise ValueError(f"trade_off must not be negative, got {trade_off}")
        self.trade_off = trade_off
        self.batch_norm: BatchNorm = batch_norm

    def transfer(self, net: Net, pair: Pair, progress: float) -> Losses:
        """Returns the term ``mmd``."""
        return Losses({"mmd": self.trade_off * mmd(pair.source, pair.target)})
