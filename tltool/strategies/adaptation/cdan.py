"""Conditional adversarial domain adaptation."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from tltool.backbones.base import Net
from tltool.losses.adversarial import (
    domain_loss,
    entropy_weights,
    gradient_reversal,
    multilinear,
    random_multilinear,
    reversal_coefficient,
)
from tltool.strategies.base import DataSpec, Losses
from tltool.strategies.discriminator import Discriminator, constant_accuracy
from tltool.strategies.pairs import BatchNorm, Pair, PairStrategy

# Products of features and classes up to which the map is exact: [0], section 3.2.
LARGEST = 4096


class CDAN(PairStrategy):
    """Features that, together with what is predicted from them, do not tell the domain.

    Minimises, over backbone f, head h and discriminator D at once,

        CE(h(f(x_s)), y_s) + trade_off * (mean w_s BCE(D(m_s), 1) + mean w_t BCE(D(m_t), 0)) / 2

    with ``m = R(f(x)) (x) softmax(h(f(x)))``: every feature times every class's probability, no
    gradient through the latter, and R the reversal of `dann`. So the discriminator compares the
    domains class by class. Where m has more than 4 096 entries, it is a random map of it into
    ``random`` dimensions; the matrices are drawn once and saved with the weights.

    Batch: ``source.x``, ``source.y`` (B,), ``target.x``; target labels are never seen.

    Args:
        entropy: CDAN+E: examples that the head is sure of weigh more, ``w = 1 + exp(-H)`` with the
            entropy H in nats, divided by the domain's mean. Otherwise CDAN: all w are 1. The two
            are published side by side, so that a figure needs to say which one it is.
        random: Entries of the random map.
        hidden: Width of the discriminator's two hidden layers.
        trade_off: Weight of the domain loss; 0 is training on the source alone.
        gamma: Steepness of the coefficient's schedule.
        batch_norm: ``joint``: one forward pass over both domains, normalised by the mixture;
            ``separate``: one pass each.

    References:
        [0] Long et al., Conditional adversarial domain adaptation, NeurIPS 2018.
        [1] https://github.com/thuml/CDAN; there the discriminator's gradient also passes through
            the weights of CDAN+E, reversed.
    """

    limit: ClassVar[Mapping[str, Any]] = {"trade_off": 0.0, "batch_norm": "separate"}

    def __init__(
        self,
        entropy: bool = False,
        random: int = 1024,
        hidden: int = 1024,
        trade_off: float = 1.0,
        gamma: float = 10.0,
        batch_norm: BatchNorm = "joint",
    ) -> None:
        super().__init__()
        if random < 1:
            raise ValueError(f"random must be at least 1, got {random}")
        if hidden < 1:
            raise ValueError(f"hidden must be at least 1, got {hidden}")
        if trade_off < 0:
            raise ValueError(f"trade_off must not be negative, got {trade_off}")
        self.entropy, self.random, self.hidden = entropy, random, hidden
        self.trade_off, self.gamma = trade_off, gamma
        self.batch_norm: BatchNorm = batch_norm

    def build(self, net: Net, spec: DataSpec) -> None:
        """Creates the discriminator, and the random matrices where the map is random."""
        size, classes = net.backbone.num_features, spec.num_classes
        self.of_features: Tensor | None
        self.of_classes: Tensor | None
        if size * classes > LARGEST:
            self.register_buffer("of_features", torch.randn(size, self.random))
            self.register_buffer("of_classes", torch.randn(classes, self.random))
            self.discriminator = Discriminator(self.random, self.hidden)
        else:
            self.of_features = self.of_classes = None
            self.discriminator = Discriminator(size * classes, self.hidden)

    def joint(self, features: Tensor, logits: Tensor) -> Tensor:
        """Returns what the discriminator sees of features ``(B, D)`` and logits ``(B, C)``."""
        probabilities = logits.detach().softmax(dim=1)
        if self.of_features is None or self.of_classes is None:
            return multilinear(features, probabilities)
        return random_multilinear(features, probabilities, self.of_features, self.of_classes)

    def transfer(self, net: Net, pair: Pair, progress: float) -> Losses:
        """Returns the term ``domain``."""
        coefficient = reversal_coefficient(progress, self.gamma)
        weights = (
            (entropy_weights(pair.source_logits), entropy_weights(pair.target_logits))
            if self.entropy
            else (None, None)
        )
        domain, accuracy = domain_loss(
            *self.discriminator(
                self.joint(gradient_reversal(pair.source, coefficient), pair.source_logits),
                self.joint(gradient_reversal(pair.target, coefficient), pair.target_logits),
            ),
            *weights,
        )
        return Losses({"domain": self.trade_off * domain}, {"domain_accuracy": accuracy})

    def diagnose(self, history: Sequence[Mapping[str, float]]) -> list[str]:
        """Warns when the discriminator's accuracy sits at a constant."""
        return constant_accuracy(history)
