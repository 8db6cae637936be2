"""Invariant risk minimisation."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from tltool.backbones.base import Net
from tltool.losses.generalisation import irm_penalty
from tltool.strategies.base import Batch, DataSpec, Losses, Strategy
from tltool.strategies.generalisation.environments import (
    annealed,
    check_penalty,
    environment_metrics,
    penalised,
    risks_of,
)

WINDOW = 5  # rows of the log over which an accuracy is judged
FALL = 0.5  # of the best accuracy so far: below it, what was learned is lost


class IRM(Strategy):
    """Features on which one classifier is optimal in every source at once.

    Minimises, R_e being the mean cross-entropy of source e and z the logits,

        mean_e R_e + trade_off * mean_e (d R_e(w z) / dw at w = 1)^2

    The penalty (IRMv1) is zero where no source would scale the logits otherwise. Up to the part
    ``anneal`` of the training its weight is at most 1; afterwards both terms are divided by it, so
    that the steps do not become longer.

    Batch: ``x``, ``y`` (B,), ``domain`` (B,) with as many examples of every source; the target is
    never read.

    Args:
        trade_off: Weight of the penalty. 1 is mild: to undo a shortcut, such as a colour that goes
            with the labels, takes 100 and more, and where there is none that only slows learning.
        anneal: Part of the training, in [0, 1], before the penalty has its full weight.

    References:
        [0] Arjovsky et al., Invariant risk minimization, arXiv 2019.
        [1] https://github.com/facebookresearch/InvariantRiskMinimization; and DomainBed, which
            takes a weight of 100 from a tenth of the training on, does not divide by it, multiplies
            the gradients of two halves of a batch in place of the square, and starts Adam afresh
            when the weight rises; here the optimiser goes on, and the weight is 1 by default.
    """

    feed: ClassVar[str] = "sources"
    controls: ClassVar[tuple[str, ...]] = ("erm",)
    needs_sources: ClassVar[bool] = True
    limit: ClassVar[Mapping[str, Any]] = {"trade_off": 0.0}
    limit_of: ClassVar[str] = "erm"

    def __init__(self, trade_off: float = 1.0, anneal: float = 0.1) -> None:
        super().__init__()
        check_penalty(trade_off, anneal)
        self.trade_off, self.anneal, self.sources = trade_off, anneal, 1

    def build(self, net: Net, spec: DataSpec) -> None:
        """Takes the number of sources."""
        self.sources = len(spec.sources)

    def loss(self, net: Net, batch: Batch, progress: float) -> Losses:
        """Returns the terms ``classification`` and ``penalty``."""
        logits, risks = risks_of(net, batch, self.sources)
        penalty = irm_penalty(logits, batch["y"], batch["domain"], self.sources)
        weight = annealed(self.trade_off, self.anneal, progress)
        metrics = environment_metrics(logits, batch, self.sources)
        return penalised(risks, penalty, weight, metrics)

    def diagnose(self, history: Sequence[Mapping[str, float]]) -> list[str]:
        """Warns when the penalty has undone what was learned: constant logits have none."""
        seen = [row["train/accuracy"] for row in history if "train/accuracy" in row]
        recent = seen[-WINDOW:]
        if len(recent) < WINDOW or max(recent) > FALL * max(seen):
            return []
        return [
            f"accuracy fell from {max(seen):.3f} to {recent[-1]:.3f}: the penalty is lowest where "
            "nothing is told apart; try a smaller strategy.trade_off"
        ]
