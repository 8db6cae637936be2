"""Joint adaptation network: features and predictions whose joint embeddings agree."""

from collections.abc import Mapping
from typing import Any, ClassVar

from tltool.backbones.base import Net
from tltool.losses.discrepancy import joint_mmd
from tltool.strategies.base import Losses
from tltool.strategies.pairs import BatchNorm, Pair, PairStrategy


class JAN(PairStrategy):
    """Features and predictions that are distributed alike, as pairs.

        CE(h(f(x_s)), y_s) + trade_off * JMMD^2((f(x_s), p(x_s)), (f(x_t), p(x_t)))

    with ``p = softmax(h(f(x)))``. The kernel of two examples is the product of the kernel of their
    features, that of `mmd`, and a Gaussian of their predictions: examples are compared with those
    of the other domain that are predicted alike. All pairs of the batch count.

    Batch: ``source.x``, ``source.y`` (B,), ``target.x``; target labels are never seen.

    Args:
        trade_off: Weight of the discrepancy; 0 is training on the source alone.
        batch_norm: ``joint``: one forward pass over both domains, normalised by the mixture;
            ``separate``: one pass each.

    References:
        [0] Long et al., Deep transfer learning with joint adaptation networks, ICML 2017. Its
            adversarial variant, JAN-A, is not built.
        [1] Transfer-Learning-Library, `jan.py`; it leaves out each example's pair with itself, and
            needs domains of one size.
    """

    limit: ClassVar[Mapping[str, Any]] = {"trade_off": 0.0, "batch_norm": "separate"}

    def __init__(self, trade_off: float = 1.0, batch_norm: BatchNorm = "joint") -> None:
        super().__init__()
        if trade_off < 0:
            raise ValueError(f"trade_off must not be negative, got {trade_off}")
        self.trade_off = trade_off
        self.batch_norm: BatchNorm = batch_norm

    def transfer(self, net: Net, pair: Pair, progress: float) -> Losses:
        """Returns the term ``joint_mmd``."""
        source_p, target_p = pair.source_logits.softmax(dim=1), pair.target_logits.softmax(dim=1)
        found = joint_mmd(pair.source, pair.target, source_p, target_p)
        return Losses({"joint_mmd": self.trade_off * found})
