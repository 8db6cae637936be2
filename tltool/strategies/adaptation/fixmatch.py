"""FixMatch: a label from an image as it is, learned on a strongly changed view of it."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from tltool.backbones.base import Net
from tltool.losses.self_training import confident_cross_entropy
from tltool.strategies.base import Losses, Stage
from tltool.strategies.pairs import BatchNorm, Pair, PairStrategy
from tltool.strategies.self_training import warn_nothing_kept


class FixMatch(PairStrategy):
    """What is confident on a weak view is the label of a strong one.

        CE(h(f(x_s)), y_s) + trade_off * 1/B sum_i [max q_i >= threshold] CE(h(f(v_i)), argmax q_i)

    q being ``softmax(h(f(x_t)))`` without a gradient, and v a strong view of x_t. The weak view is
    what ``dataset.augment`` makes of an image, the strong one what ``dataset.view_area``,
    ``view_jitter``, ``view_blur`` and ``view_flip`` do: the class must survive it, so no mirrored
    digits, and a larger ``dataset.view_area`` than for self-supervised learning.

    Batch: ``source.x``, ``source.y`` (B,), ``target.x``, ``target.views`` [v]; target labels are
    never seen. The views have a pass of their own, so BatchNorm normalises them by themselves.

    Logged: ``kept``, the part of the target's batch that is confident, in [0, 1].

    Args:
        threshold: Least probability of a label, in [0, 1].
        trade_off: Weight of the target's term; 0 is training on the source alone, without views.
        batch_norm: ``separate``: one forward pass for each domain, normalised by itself, after
            which more of the target is confident; ``joint``: one over both.

    References:
        [0] Sohn et al., FixMatch: simplifying semi-supervised learning with consistency and
            confidence, NeurIPS 2020. There an unlabelled batch is 7 times as large, labels come
            from one domain, and strong views are those of RandAugment and a cut-out square.
        [1] google-research/fixmatch.
    """

    modalities: ClassVar[tuple[str, ...]] = ("image",)
    limit: ClassVar[Mapping[str, Any]] = {"trade_off": 0.0, "batch_norm": "separate"}

    def __init__(
        self, threshold: float = 0.95, trade_off: float = 1.0, batch_norm: BatchNorm = "separate"
    ) -> None:
        super().__init__()
        if not 0 <= threshold <= 1:
            raise ValueError(f"threshold must be in [0, 1], got {threshold}")
        if trade_off < 0:
            raise ValueError(f"trade_off must not be negative, got {trade_off}")
        self.threshold, self.trade_off = threshold, trade_off
        self.batch_norm: BatchNorm = batch_norm

    def stages(self) -> Sequence[Stage]:
        """Returns one stage, with a view of the target's images."""
        return [Stage(options={"views": int(self.trade_off > 0)})]

    def transfer(self, net: Net, pair: Pair, progress: float) -> Losses:
        """Returns the term ``pseudo_label``."""
        if self.trade_off == 0:
            return Losses({})
        strong = net(pair.batch["target"]["views"][0])
        loss, kept = confident_cross_entropy(strong, pair.target_logits, self.threshold)
        return Losses({"pseudo_label": self.trade_off * loss}, {"kept": kept})

    def diagnose(self, history: Sequence[Mapping[str, float]]) -> list[str]:
        """Warns when nothing is confident."""
        return warn_nothing_kept(history)
