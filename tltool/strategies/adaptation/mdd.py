"""Margin disparity discrepancy."""

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import nn

from tltool.backbones.base import Net
from tltool.losses.adversarial import gradient_reversal, reversal_coefficient
from tltool.losses.disparity import margin_disparity
from tltool.strategies.base import DataSpec, Losses
from tltool.strategies.pairs import BatchNorm, Pair, PairStrategy

# Of the adversary's hidden layer: [1], `GeneralModule`.
DROPOUT = 0.5


class MDD(PairStrategy):
    """Features on which no second head agrees on the source and disagrees on the target.

    Minimises, over backbone f, head h and adversary a at once,

        CE(h(f(x_s)), y_s) + trade_off * (margin * CE(a(R(f(x_s))), k_s)
                                          + mean -log(1 - softmax(a(R(f(x_t))))[k_t]))

    with ``k = argmax h(f(x))``, through which no gradient passes, and R the identity whose
    gradient is multiplied by ``-coefficient * c(p)``, c(p) that of `dann`. So the adversary looks
    for the largest disagreement, and the backbone for features where it is small.

    Batch: ``source.x``, ``source.y`` (B,), ``target.x``; target labels are never seen.

    Args:
        margin: Weight of the source in what the adversary does, at least 1; ``exp(rho)`` for a
            margin rho.
        hidden: Width of the adversary's hidden layer.
        trade_off: Weight of the disparity; 0 is training on the source alone.
        coefficient: What the reversed gradient is multiplied by at the end of training.
        gamma: Steepness of its schedule.
        batch_norm: ``joint``: one forward pass over both domains, normalised by the mixture;
            ``separate``: one pass each.

    References:
        [0] Zhang et al., Bridging theory and algorithm for domain adaptation, ICML 2019.
        [1] Transfer-Learning-Library, `mdd.py`. There h has a hidden layer too, and the coefficient
            rises over raw iterations, in the first 1 000 to half of its end.
    """

    limit: ClassVar[Mapping[str, Any]] = {"trade_off": 0.0, "batch_norm": "separate"}

    def __init__(
        self,
        margin: float = 4.0,
        hidden: int = 1024,
        trade_off: float = 1.0,
        coefficient: float = 0.1,
        gamma: float = 10.0,
        batch_norm: BatchNorm = "joint",
    ) -> None:
        super().__init__()
        if margin < 1:
            raise ValueError(f"margin must be at least 1, got {margin}")
        if hidden < 1:
            raise ValueError(f"hidden must be at least 1, got {hidden}")
        if trade_off < 0 or coefficient < 0:
            raise ValueError(
                f"trade_off and coefficient must not be negative, got {trade_off} and {coefficient}"
            )
        self.margin, self.hidden, self.trade_off = margin, hidden, trade_off
        self.coefficient, self.gamma = coefficient, gamma
        self.batch_norm: BatchNorm = batch_norm

    def build(self, net: Net, spec: DataSpec) -> None:
        """Creates the adversary."""
        self.adversary = nn.Sequential(
            nn.Linear(net.backbone.num_features, self.hidden),
            nn.ReLU(),
            nn.Dropout(DROPOUT),
            nn.Linear(self.hidden, spec.num_classes),
        )

    def transfer(self, net: Net, pair: Pair, progress: float) -> Losses:
        """Returns the term ``disparity``."""
        coefficient = self.coefficient * reversal_coefficient(progress, self.gamma)
        disparity = margin_disparity(
            pair.source_logits,
            self.adversary(gradient_reversal(pair.source, coefficient)),
            pair.target_logits,
            self.adversary(gradient_reversal(pair.target, coefficient)),
            self.margin,
        )
        return Losses({"disparity": self.trade_off * disparity})
