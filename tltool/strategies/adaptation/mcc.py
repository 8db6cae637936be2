"""Minimum class confusion."""

from collections.abc import Mapping
from typing import Any, ClassVar

from tltool.backbones.base import Net
from tltool.losses.self_training import minimum_class_confusion
from tltool.strategies.base import Losses
from tltool.strategies.pairs import BatchNorm, Pair, PairStrategy


class MCC(PairStrategy):
    """Predictions on the target that do not hesitate between two classes.

        CE(h(f(x_s)), y_s) + trade_off * 1/C sum_j sum_{k != j} T_jk

    T being the confusion of classes in the target's batch, from its tempered softmaxes, the certain
    ones weighing more (`tltool.losses.self_training.minimum_class_confusion`). Nothing is aligned.

    Batch: ``source.x``, ``source.y`` (B,), ``target.x``; target labels are never seen. It takes a
    batch of a few examples a class.

    Args:
        temperature: What logits are divided by, above 0.
        trade_off: Weight of the confusion; 0 is training on the source alone.
        batch_norm: ``joint``: one forward pass over both domains, normalised by the mixture;
            ``separate``: one pass each.

    References:
        [0] Jin et al., Minimum class confusion for versatile domain adaptation, ECCV 2020.
        [1] thuml/Versatile-Domain-Adaptation; it has one pass for each domain.
    """

    limit: ClassVar[Mapping[str, Any]] = {"trade_off": 0.0, "batch_norm": "separate"}

    def __init__(
        self, temperature: float = 2.5, trade_off: float = 1.0, batch_norm: BatchNorm = "joint"
    ) -> None:
        super().__init__()
        if not temperature > 0:
            raise ValueError(f"temperature must be above 0, got {temperature}")
        if trade_off < 0:
            raise ValueError(f"trade_off must not be negative, got {trade_off}")
        self.temperature, self.trade_off = temperature, trade_off
        self.batch_norm: BatchNorm = batch_norm

    def transfer(self, net: Net, pair: Pair, progress: float) -> Losses:
        """Returns the term ``confusion``."""
        confusion = minimum_class_confusion(pair.target_logits, self.temperature)
        return Losses({"confusion": self.trade_off * confusion})
