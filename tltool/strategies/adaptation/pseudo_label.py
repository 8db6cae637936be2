"""Pseudo-labels: what the network is sure of in the target becomes a label."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from tltool.backbones.base import Net
from tltool.losses.self_training import confident_cross_entropy
from tltool.strategies.base import Losses
from tltool.strategies.pairs import BatchNorm, Pair, PairStrategy
from tltool.strategies.self_training import warn_nothing_kept


class PseudoLabel(PairStrategy):
    """The target's own predictions are learned like labels, where they are confident.

        CE(h(f(x_s)), y_s) + trade_off * 1/B sum_i [max q_i >= threshold] CE(h(f(x_ti)), argmax q_i)

    q being ``softmax(h(f(x_t)))`` of the same pass, without a gradient. The sum is divided by the
    whole batch and not by what is kept of it, so that at first, where little is, little is learned
    from it: no schedule is needed.

    Batch: ``source.x``, ``source.y`` (B,), ``target.x``; target labels are never seen.

    Logged: ``kept``, the part of the target's batch that is confident, in [0, 1].

    Args:
        threshold: Least probability of a label, in [0, 1].
        trade_off: Weight of the target's term; 0 is training on the source alone.
        batch_norm: ``separate``: one forward pass for each domain, normalised by itself, after
            which more of the target is confident; ``joint``: one over both.

    References:
        [0] Lee, Pseudo-label: the simple and efficient semi-supervised learning method for deep
            neural networks, ICML workshop 2013. It keeps all labels, and raises their weight over
            the training, where here the threshold does both.
    """

    limit: ClassVar[Mapping[str, Any]] = {"trade_off": 0.0, "batch_norm": "separate"}

    def __init__(
        self, threshold: float = 0.9, trade_off: float = 1.0, batch_norm: BatchNorm = "separate"
    ) -> None:
        super().__init__()
        if not 0 <= threshold <= 1:
            raise ValueError(f"threshold must be in [0, 1], got {threshold}")
        if trade_off < 0:
            raise ValueError(f"trade_off must not be negative, got {trade_off}")
        self.threshold, self.trade_off = threshold, trade_off
        self.batch_norm: BatchNorm = batch_norm

    def transfer(self, net: Net, pair: Pair, progress: float) -> Losses:
        """Returns the term ``pseudo_label``."""
        logits = pair.target_logits
        loss, kept = confident_cross_entropy(logits, logits, self.threshold)
        return Losses({"pseudo_label": self.trade_off * loss}, {"kept": kept})

    def diagnose(self, history: Sequence[Mapping[str, float]]) -> list[str]:
        """Warns when nothing is confident."""
        return warn_nothing_kept(history)
