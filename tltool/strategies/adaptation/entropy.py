"""Entropy minimisation on the target."""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch.nn.functional as F

from tltool.backbones.base import Net
from tltool.strategies.base import Losses
from tltool.strategies.pairs import BatchNorm, Pair, PairStrategy


class Entropy(PairStrategy):
    """Decision boundaries that stay away from the target's examples.

    Minimises ``CE(h(f(x_s)), y_s) + trade_off * mean_t H(p_t)`` with ``p_t = softmax(h(f(x_t)))``
    and the entropy ``H(p) = -sum_c p_c log p_c``: 0 where the network is sure, log C where it
    knows nothing. The gradient flows through both factors.

    Batch: ``source.x``, ``source.y`` (B,), ``target.x``; target labels are never seen.

    Args:
        trade_off: Weight of the entropy, at least 0; 0 is training on the source alone. A large
            one makes the network sure before it is right.
        batch_norm: ``separate``: one forward pass for each domain; ``joint``: one for both,
            normalised by the mixture, with which USPS → MNIST lost half of the classes.

    References:
        [0] Grandvalet & Bengio, Semi-supervised learning by entropy minimization, NeurIPS 2004.
            There the examples without labels are of the same domain.
    """

    limit: ClassVar[Mapping[str, Any]] = {"trade_off": 0.0, "batch_norm": "separate"}

    def __init__(self, trade_off: float = 0.1, batch_norm: BatchNorm = "separate") -> None:
        super().__init__()
        if trade_off < 0:
            raise ValueError(f"trade_off must not be negative, got {trade_off}")
        self.trade_off = trade_off
        self.batch_norm: BatchNorm = batch_norm

    def transfer(self, net: Net, pair: Pair, progress: float) -> Losses:
        """Returns the term ``entropy``."""
        logits = pair.target_logits
        # The cross-entropy of a distribution with itself, safe where a probability is 0.
        entropy = F.cross_entropy(logits, logits.softmax(dim=1))
        return Losses({"entropy": self.trade_off * entropy})
