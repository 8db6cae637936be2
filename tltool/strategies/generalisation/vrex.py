"""Risk extrapolation by variance."""

from collections.abc import Mapping
from typing import Any, ClassVar

from tltool.backbones.base import Net
from tltool.losses.generalisation import risk_variance
from tltool.strategies.base import Batch, DataSpec, Losses, Strategy
from tltool.strategies.generalisation.environments import (
    annealed,
    check_penalty,
    environment_metrics,
    penalised,
    risks_of,
)


class VREx(Strategy):
    """Every source is learned equally well: ``mean_e R_e + trade_off * Var_e R_e``.

    R_e is the mean cross-entropy of source e. Up to the part ``anneal`` of the training the weight
    is at most 1; afterwards both terms are divided by it, so that the steps do not become longer.

    Batch: ``x``, ``y`` (B,), ``domain`` (B,) with as many examples of every source; the target is
    never read.

    Args:
        trade_off: Weight of the variance. 1 is mild: to undo a shortcut, such as a colour that goes
            with the labels, takes 10 and more, and where there is none that only slows learning.
        anneal: Part of the training, in [0, 1], before the variance has its full weight.

    References:
        [0] Krueger et al., Out-of-distribution generalization via risk extrapolation, ICML 2021;
            there the risks are summed, here their mean is taken.
        [1] DomainBed, which takes a weight of 10 from a tenth of the training on, does not divide
            by it, and starts Adam afresh when the weight rises; here the optimiser goes on, and the
            weight is 1 by default.
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
        weight = annealed(self.trade_off, self.anneal, progress)
        metrics = environment_metrics(logits, batch, self.sources)
        return penalised(risks, risk_variance(risks), weight, metrics)
