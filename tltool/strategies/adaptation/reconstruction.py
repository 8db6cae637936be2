"""Denoising reconstruction of the target beside the classification of the source."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from tltool.backbones.base import Net
from tltool.strategies.adaptation.autoencoder import (
    Corruption,
    Decoder,
    Noise,
    reconstruction_error,
)
from tltool.strategies.base import DataSpec, Losses
from tltool.strategies.pairs import BatchNorm, Pair, PairStrategy, concat


class Reconstruction(PairStrategy):
    """Features that classify the source, and from which noised targets can be drawn clean.

    Minimises ``CE(h(f(x_s)), y_s) + trade_off * mean (g(f(x_t + noise)) - x_t)^2`` over backbone
    f, head h and decoder g; the mean is over examples, channels and pixels of prepared images.
    The noised images take a forward pass of their own, so it can be a term of any pair strategy.

    Batch: ``source.x``, ``source.y`` (B,), ``target.x``; target labels are never seen.

    Args:
        trade_off: Weight of the reconstruction, at least 0; 0 is training on the source alone.
        noise: ``gaussian``, added; or ``masking``, which sets pixels to 0.
        level: Standard deviation of the one, in units of the prepared image; part of the pixels
            that the other hides, in [0, 1).
        domain: What is reconstructed; ``both`` adds the source's images.
        batch_norm: ``joint``: one forward pass over both domains, normalised by the mixture;
            ``separate``: one pass each. The noised images always have theirs.

    References:
        [0] Vincent et al., Extracting and composing robust features with denoising autoencoders,
            ICML 2008, and Ghifary et al. (see `DRCN`), whose weighting this leaves out.
    """

    modalities: ClassVar[tuple[str, ...]] = ("image",)
    limit: ClassVar[Mapping[str, Any]] = {"trade_off": 0.0, "batch_norm": "separate"}

    def __init__(
        self,
        trade_off: float = 1.0,
        noise: Noise = "masking",
        level: float = 0.4,
        domain: Literal["target", "both"] = "target",
        batch_norm: BatchNorm = "joint",
    ) -> None:
        super().__init__()
        if trade_off < 0:
            raise ValueError(f"trade_off must not be negative, got {trade_off}")
        self.trade_off, self.domain = trade_off, domain
        self.corruption = Corruption(noise, level)
        self.batch_norm: BatchNorm = batch_norm

    def build(self, net: Net, spec: DataSpec) -> None:
        """Creates the decoder."""
        self.decoder = Decoder(net.backbone)

    def transfer(self, net: Net, pair: Pair, progress: float) -> Losses:
        """Returns the term ``reconstruction``."""
        x = pair.batch["target"]["x"]
        if self.domain == "both":
            x = concat(pair.batch["source"]["x"], x)
        error = reconstruction_error(net, self.decoder, self.corruption, x)
        return Losses({"reconstruction": self.trade_off * error})
