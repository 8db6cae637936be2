"""Deep reconstruction-classification networks."""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch.nn.functional as F

from tltool.backbones.base import Net
from tltool.losses.labels import label_loss, label_metrics
from tltool.strategies.adaptation.autoencoder import Corruption, Decoder, Noise
from tltool.strategies.base import Batch, DataSpec, Losses, Strategy
from tltool.strategies.pairs import BatchNorm, forward_pair


class DRCN(Strategy):
    """An encoder that classifies the source and reconstructs the target, in given proportions.

    Minimises ``balance * CE(h(f(x_s)), y_s) + (1 - balance) * mean (g(f(x_t + noise)) - x_t)^2``
    over backbone f, head h and decoder g. The network never sees a clean target image while it
    trains; as a term beside other ones, take `strategy=reconstruction`.

    Both terms are minimised jointly, one batch of each domain in every step. [0] and [1] alternate:
    an epoch of reconstruction, then one of classification. The decoder does not mirror the
    backbone, whatever that is, and its last layer is linear, since prepared images have any range.

    Batch: ``source.x``, ``source.y`` (B,), ``target.x``; target labels are never seen.

    Args:
        balance: Weight of the classification, lambda in [0], in [0, 1]; 1 is training on the
            source alone.
        noise: ``gaussian``, added; or ``masking``, which sets pixels to 0.
        level: Standard deviation of the one, in units of the prepared image; part of the pixels
            that the other hides, in [0, 1).
        batch_norm: ``separate``: one forward pass for each domain; ``joint``: one over both,
            normalised by the mixture of the source with noised images.

    References:
        [0] Ghifary et al., Deep reconstruction-classification networks for unsupervised domain
            adaptation, ECCV 2016.
        [1] https://github.com/ghif/drcn, which weighs both the same.
    """

    feed: ClassVar[str] = "pair"
    controls: ClassVar[tuple[str, ...]] = ("source_only", "train_on_target")
    modalities: ClassVar[tuple[str, ...]] = ("image",)
    limit: ClassVar[Mapping[str, Any]] = {"balance": 1.0, "level": 0.0, "batch_norm": "separate"}

    def __init__(
        self,
        balance: float = 0.7,
        noise: Noise = "masking",
        level: float = 0.4,
        batch_norm: BatchNorm = "separate",
    ) -> None:
        super().__init__()
        if not 0 <= balance <= 1:
            raise ValueError(f"balance must be from 0 to 1, got {balance}")
        self.balance = balance
        self.corruption = Corruption(noise, level)
        self.batch_norm: BatchNorm = batch_norm

    def build(self, net: Net, spec: DataSpec) -> None:
        """Creates the decoder."""
        self.decoder = Decoder(net.backbone)

    def loss(self, net: Net, batch: Batch, progress: float) -> Losses:
        """Returns the terms ``classification`` and ``reconstruction``."""
        clean = batch["target"]["x"]
        noised = {"source": batch["source"], "target": {"x": self.corruption(clean)}}
        pair = forward_pair(net, noised, self.batch_norm)
        error = F.mse_loss(self.decoder(pair.target), clean)
        return Losses(
            {
                "classification": self.balance * label_loss(pair.source_logits, pair.y),
                "reconstruction": (1.0 - self.balance) * error,
            },
            label_metrics(pair.source_logits, pair.y),
        )
