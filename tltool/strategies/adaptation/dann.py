"""Domain-adversarial training of neural networks."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from tltool.backbones.base import Net
from tltool.losses.adversarial import domain_loss, gradient_reversal, reversal_coefficient
from tltool.strategies.base import DataSpec, Losses
from tltool.strategies.discriminator import Discriminator, constant_accuracy
from tltool.strategies.pairs import BatchNorm, Pair, PairStrategy


class DANN(PairStrategy):
    """Features that predict the class but not the domain.

    Minimises, over backbone f, head h and discriminator D at once,

        CE(h(f(x_s)), y_s) + trade_off * BCE(D(R(f(x_s))), 1) + trade_off * BCE(D(R(f(x_t))), 0)

    with the two BCE halved, and R the identity whose gradient is multiplied by ``-c(p)``,
    ``c(p) = 2 / (1 + exp(-gamma p)) - 1`` over the progress p of the training. The coefficient
    acts inside R only, so that D always learns at the full rate.

    Batch: ``source.x``, ``source.y`` (B,), ``target.x``; target labels are never seen.

    Args:
        hidden: Width of the discriminator's two hidden layers.
        trade_off: Weight of the domain loss; 0 is training on the source alone.
        gamma: Steepness of the coefficient's schedule.
        batch_norm: ``joint``: one forward pass over both domains, normalised by the mixture;
            ``separate``: one pass each.

    References:
        [0] Ganin et al., Domain-adversarial training of neural networks, JMLR 2016.
        [1] Transfer-Learning-Library, `dann.py`; it schedules the coefficient by raw iterations.
    """

    regression: ClassVar[bool] = True
    limit: ClassVar[Mapping[str, Any]] = {"trade_off": 0.0, "batch_norm": "separate"}

    def __init__(
        self,
        hidden: int = 1024,
        trade_off: float = 1.0,
        gamma: float = 10.0,
        batch_norm: BatchNorm = "joint",
    ) -> None:
        super().__init__()
        if hidden < 1:
            raise ValueError(f"hidden must be at least 1, got {hidden}")
        if trade_off < 0:
            raise ValueError(f"trade_off must not be negative, got {trade_off}")
        self.hidden = hidden
        self.trade_off = trade_off
        self.gamma = gamma
        self.batch_norm: BatchNorm = batch_norm

    def build(self, net: Net, spec: DataSpec) -> None:
        """Creates the discriminator."""
        self.discriminator = Discriminator(net.backbone.num_features, self.hidden)

    def transfer(self, net: Net, pair: Pair, progress: float) -> Losses:
        """Returns the term ``domain``."""
        coefficient = reversal_coefficient(progress, self.gamma)
        domain, accuracy = domain_loss(
            *self.discriminator(
                gradient_reversal(pair.source, coefficient),
                gradient_reversal(pair.target, coefficient),
            )
        )
        return Losses({"domain": self.trade_off * domain}, {"domain_accuracy": accuracy})

    def diagnose(self, history: Sequence[Mapping[str, float]]) -> list[str]:
        """Warns when the discriminator's accuracy sits at a constant."""
        return constant_accuracy(history)
