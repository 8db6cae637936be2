"""Central moment discrepancy: features whose moments agree."""

from collections.abc import Mapping
from typing import Any, ClassVar

from tltool.backbones.base import Net
from tltool.losses.discrepancy import central_moments
from tltool.strategies.base import Losses
from tltool.strategies.pairs import BatchNorm, Pair, PairStrategy

WIDTH = 2.0  # of (-1, 1), where tanh ends


class CMD(PairStrategy):
    """Features each of which has the same mean, variance, and further moments in both domains.

        CE(h(f(x_s)), y_s) + trade_off * (|E z_s - E z_t| / 2
                                          + sum_{k=2}^K |c_k(z_s) - c_k(z_t)| / 2^k)

    with ``z = tanh(f(x))`` and c_k the k-th central moments, coordinate by coordinate. Moments tell
    distributions apart that live on an interval, which features of most backbones do not: tanh
    puts them on (-1, 1), of width 2. The classifier takes the features as they are.

    Batch: ``source.x``, ``source.y`` (B,), ``target.x``; target labels are never seen.

    Args:
        trade_off: Weight of the discrepancy; 0 is training on the source alone.
        moments: K, from 1 on; 1 matches the means only.
        batch_norm: ``joint``: one forward pass over both domains, normalised by the mixture;
            ``separate``: one pass each.

    References:
        [0] Zellinger et al., Central moment discrepancy (CMD) for domain-invariant representation
            learning, ICLR 2017; K = 5 and the weight 1 are its choice, and its features are
            bounded themselves.
        [1] https://github.com/wzell/cmd, which takes features on [0, 1] and leaves the width out.
    """

    limit: ClassVar[Mapping[str, Any]] = {"trade_off": 0.0, "batch_norm": "separate"}

    def __init__(
        self, trade_off: float = 1.0, moments: int = 5, batch_norm: BatchNorm = "joint"
    ) -> None:
        super().__init__()
        if trade_off < 0:
            raise ValueError(f"trade_off must not be negative, got {trade_off}")
        if moments < 1:
            raise ValueError(f"moments must be at least 1, got {moments}")
        self.trade_off, self.moments = trade_off, moments
        self.batch_norm: BatchNorm = batch_norm

    def transfer(self, net: Net, pair: Pair, progress: float) -> Losses:
        """Returns the term ``moments``."""
        source, target = pair.source.tanh(), pair.target.tanh()
        found = central_moments(source, target, self.moments, WIDTH)
        return Losses({"moments": self.trade_off * found})
