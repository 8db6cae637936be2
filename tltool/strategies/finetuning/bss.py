"""BSS: batch spectral shrinkage, against the transfer of what does not help."""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch.nn.functional as F

from tltool.backbones.base import Net
from tltool.losses.classification import accuracy
from tltool.losses.regularisation import batch_spectral_shrinkage
from tltool.strategies.base import Batch, Losses, Strategy


class BSS(Strategy):
    """All layers learn, and directions in which a batch's features hardly vary are given up.

        CE(h(f(x)), y) + trade_off * sum of the k smallest s_i^2

    over the singular values s of the features f(x) ``(B, D)`` of a batch. Those are the spectral
    components that transfer the least.

    Batch: ``x``, ``y`` (B,).

    Args:
        trade_off: Weight of the shrinkage, at least 0; 0 is full fine-tuning.
        k: How many singular values shrink, at least 1; there are min(B, D).

    References:
        [0] Chen et al., Catastrophic forgetting meets negative transfer: batch spectral shrinkage
            for safe transfer learning, NeurIPS 2019.
        [1] Transfer-Learning-Library, `bss.py`.
    """

    feed: ClassVar[str] = "plain"
    controls: ClassVar[tuple[str, ...]] = ("finetune", "linear_probe", "from_scratch")
    limit: ClassVar[Mapping[str, Any]] = {"trade_off": 0.0}

    def __init__(self, trade_off: float = 0.001, k: int = 1) -> None:
        super().__init__()
        if trade_off < 0:
            raise ValueError(f"trade_off must not be negative, got {trade_off}")
        if k < 1:
            raise ValueError(f"k must be at least 1, got {k}")
        self.trade_off, self.k = trade_off, k

    def loss(self, net: Net, batch: Batch, progress: float) -> Losses:
        """Returns the terms ``classification`` and ``spectral``."""
        features, y = net.features(batch["x"]), batch["y"]
        logits = net.head(features)
        terms = {
            "classification": F.cross_entropy(logits, y),
            "spectral": self.trade_off * batch_spectral_shrinkage(features, self.k),
        }
        return Losses(terms, {"accuracy": accuracy(logits, y)})
