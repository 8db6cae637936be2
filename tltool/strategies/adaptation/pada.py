"""Partial adversarial domain adaptation."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from tltool.backbones.base import Net
from tltool.losses.adversarial import domain_loss, gradient_reversal, reversal_coefficient
from tltool.losses.labels import label_loss, label_metrics
from tltool.strategies.base import Batch, DataSpec, Losses
from tltool.strategies.discriminator import Discriminator, constant_accuracy
from tltool.strategies.pairs import BatchNorm, Pair, PairStrategy, forward_pair


class PADA(PairStrategy):
    """Domain-adversarial training where the target holds only some of the source's classes.

    Minimises, over backbone f, head h and discriminator D at once,

        mean g[y_s] CE(h(f(x_s)), y_s)
            + trade_off * (mean g[y_s] BCE(D(R(f(x_s))), 1) + mean BCE(D(R(f(x_t))), 0)) / 2

    with R the reversal of `dann` and ``g = q / max q`` the weights of the classes, from the mean
    prediction q on the target: classes that the target does not have get little of it, and the
    target is not aligned with their examples.

    Batch: ``source.x``, ``source.y`` (B,), ``target.x``; target labels are never seen.

    Args:
        momentum: Of q, which starts from equal shares: ``q <- momentum q + (1 - momentum) mean_t
            softmax(h(f(x_t)))`` in each step; 1 leaves it as it starts, which is `dann`.
        hidden: Width of the discriminator's two hidden layers.
        trade_off: Weight of the domain loss.
        gamma: Steepness of the coefficient's schedule.
        batch_norm: ``joint``: one forward pass over both domains, normalised by the mixture;
            ``separate``: one pass each.

    References:
        [0] Cao et al., Partial adversarial domain adaptation, ECCV 2018. There q is the mean over
            the whole target, computed anew every so many steps; here it follows the batches, as
            they are in training.
        [1] Transfer-Learning-Library, `pada.py`; there q is of a softmax sharpened by a temperature
            of 0.1, and the target weighs in the domain loss as much as the source's batch does.
    """

    limit: ClassVar[Mapping[str, Any]] = {
        "trade_off": 0.0,
        "momentum": 1.0,
        "batch_norm": "separate",
    }
    share: Tensor

    def __init__(
        self,
        momentum: float = 0.99,
        hidden: int = 1024,
        trade_off: float = 1.0,
        gamma: float = 10.0,
        batch_norm: BatchNorm = "joint",
    ) -> None:
        super().__init__()
        if not 0 <= momentum <= 1:
            raise ValueError(f"momentum must be in [0, 1], got {momentum}")
        if hidden < 1:
            raise ValueError(f"hidden must be at least 1, got {hidden}")
        if trade_off < 0:
            raise ValueError(f"trade_off must not be negative, got {trade_off}")
        self.momentum, self.hidden = momentum, hidden
        self.trade_off, self.gamma = trade_off, gamma
        self.batch_norm: BatchNorm = batch_norm

    def build(self, net: Net, spec: DataSpec) -> None:
        """Creates the discriminator and the classes' shares."""
        self.discriminator = Discriminator(net.backbone.num_features, self.hidden)
        self.register_buffer("share", torch.full((spec.num_classes,), 1.0 / spec.num_classes))

    def loss(self, net: Net, batch: Batch, progress: float) -> Losses:
        """Returns the terms ``classification`` and ``domain``."""
        pair = forward_pair(net, batch, self.batch_norm)
        found = pair.target_logits.detach().softmax(dim=1).mean(dim=0)
        self.share.lerp_(found.to(self.share), 1.0 - self.momentum)
        more = self.transfer(net, pair, progress)
        label = label_loss(pair.source_logits, pair.y, self.weights(pair.y))
        return Losses(
            {"classification": label, **more.terms},
            {**label_metrics(pair.source_logits, pair.y), **more.metrics},
        )

    def weights(self, y: Tensor) -> Tensor:
        """Returns the weights in [0, 1] of source examples ``(B,)`` with labels ``y``."""
        return (self.share / self.share.max())[y]

    def transfer(self, net: Net, pair: Pair, progress: float) -> Losses:
        """Returns the term ``domain``; the shares are as they are."""
        coefficient = reversal_coefficient(progress, self.gamma)
        source, target = self.discriminator(
            gradient_reversal(pair.source, coefficient), gradient_reversal(pair.target, coefficient)
        )
        domain, accuracy = domain_loss(source, target, self.weights(pair.y))
        return Losses({"domain": self.trade_off * domain}, {"domain_accuracy": accuracy})

    def diagnose(self, history: Sequence[Mapping[str, float]]) -> list[str]:
        """Warns when the discriminator's accuracy sits at a constant."""
        return constant_accuracy(history)
