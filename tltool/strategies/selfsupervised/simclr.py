"""SimCLR: contrastive learning of features without labels, then a linear probe on them."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import torch
from lightly.loss import NTXentLoss
from lightly.models.modules import SimCLRProjectionHead

from tltool.backbones.base import Net
from tltool.losses.contrastive import spread
from tltool.strategies.base import Batch, DataSpec, Losses, Stage, Strategy
from tltool.strategies.supervised import supervised

WINDOW = 5  # rows of the log that must agree before a collapse is called one
COLLAPSED = 0.1  # of 1; healthy embeddings stay above a half


class SimCLR(Strategy):
    """Two views of an image are told from the views of all others; a linear head is fitted after.

    The first stage minimises, over backbone f and projector g, with ``z = g(f(x))`` of the 2B
    views of a batch,

        mean_i -log( exp(cos(z_i, z_i') / t) / sum_{k != i} exp(cos(z_i, z_k) / t) )

    z_i' being the other view's. The second is a linear probe on the features f(x), not on z, with
    f frozen. Negatives come from all devices; BatchNorm sees each device's own.

    Batch: ``views`` [x1, x2], then ``x``, ``y`` (B,).

    Args:
        temperature: t, above 0.
        hidden: Width of the projector's hidden layer; by default as many as f has features.
        dim: Length of z.
        domain: Whose images the first stage learns from; ``both`` is the source's alone where
            there is no target.
        probe_share: Part of the steps that the probe gets, in (0, 1).

    References:
        [0] Chen et al., A simple framework for contrastive learning of visual representations,
            ICML 2020.
        [1] google-research/simclr; it steps with LARS, which is for batches of thousands.
    """

    feed: ClassVar[str] = "views"
    modalities: ClassVar[tuple[str, ...]] = ("image",)
    needs: ClassVar[tuple[str, ...]] = ("lightly",)
    controls: ClassVar[tuple[str, ...]] = ("random_probe", "from_scratch")

    def __init__(
        self,
        temperature: float = 0.2,
        hidden: int | None = None,
        dim: int = 128,
        domain: Literal["source", "target", "both"] = "both",
        probe_share: float = 0.2,
    ) -> None:
        super().__init__()
        if not temperature > 0:
            raise ValueError(f"temperature must be above 0, got {temperature}")
        if (hidden is not None and hidden < 1) or dim < 1:
            raise ValueError(f"hidden and dim must be at least 1, got {hidden} and {dim}")
        if not 0 < probe_share < 1:
            raise ValueError(f"probe_share must be above 0 and below 1, got {probe_share}")
        self.hidden, self.dim = hidden, dim
        self.domain, self.probe_share = domain, probe_share
        self.contrast = NTXentLoss(temperature, gather_distributed=True)

    def build(self, net: Net, spec: DataSpec) -> None:
        """Creates the projector."""
        features = net.backbone.num_features
        self.projector = SimCLRProjectionHead(features, self.hidden or features, self.dim)

    def stages(self) -> Sequence[Stage]:
        """Returns the pre-training, and the probe on cached features."""
        options = {"domain": self.domain}
        return [
            Stage("pretrain", share=1.0 - self.probe_share, options=options),
            Stage("probe", share=self.probe_share, feed="plain", cached_features=True),
        ]

    def param_groups(self, net: Net, stage: int) -> list[dict[str, Any]]:
        """Returns backbone and projector, then the head alone."""
        if stage == 1:
            return [{"params": list(net.head.parameters())}]
        return [{"params": [*net.backbone.parameters(), *self.projector.parameters()]}]

    def loss(self, net: Net, batch: Batch, progress: float) -> Losses:
        """Returns the term ``contrastive`` of views, or the probe's ``classification``."""
        if "views" not in batch:
            return supervised(net, batch)
        z = self.projector(net.features(torch.cat(batch["views"])))
        return Losses({"contrastive": self.contrast(*z.chunk(2))}, {"spread": spread(z)})

    def diagnose(self, history: Sequence[Mapping[str, float]]) -> list[str]:
        """Warns when all embeddings have become nearly the same."""
        recent = [row["train/spread"] for row in history if "train/spread" in row][-WINDOW:]
        if len(recent) < WINDOW or max(recent) > COLLAPSED:
            return []
        return [
            f"the embeddings collapse: their spread sits at {recent[-1]:.3f} where 1 is even; try a"
            " smaller optimizer.lr, or a larger dataset.batch_size"
        ]
