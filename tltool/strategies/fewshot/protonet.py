"""Prototypical networks: a class is the mean of its examples."""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from tltool.backbones.base import Input, Net
from tltool.errors import UserError
from tltool.losses.classification import accuracy
from tltool.losses.metric import minus_squared_distances, nearest_mean
from tltool.strategies.base import Batch, DataSpec, Losses, Stage, StageData, Strategy
from tltool.strategies.pairs import concat


class ProtoNet(Strategy):
    """Features by which a query is nearest to the mean of its own class's few examples.

    ``CE(-|f(q) - m_c|^2, y)`` over the queries q of an episode, ``m_c`` being the mean of ``f`` on
    the class's support. The head is not used, and not trained.

    Batch: ``support`` and ``query``, each with ``x`` and ``y`` (way * shot,), (way * query,), the
    classes numbered from 0 within the episode. Both go through the network together, so that
    BatchNorm sees both. When it is scored BatchNorm has its running statistics: no query helps
    another.

    When training ends the mean of each training class is kept: these `predict` tells apart.

    Args:
        way: Classes of a training episode; more than are told apart later make better features.
        shot: Examples of each that its mean is taken of.
        query: Further examples of each that the loss is taken of.

    References:
        [0] Snell, Swersky & Zemel, Prototypical networks for few-shot learning, NeurIPS 2017; it
            trains with 60 ways on Omniglot.
        [1] github.com/jakesnell/prototypical-networks; it halves the rate every 2 000 episodes.
    """

    feed: ClassVar[str] = "episodes"
    controls: ClassVar[tuple[str, ...]] = ("from_scratch", "linear_probe")
    prototypes: Tensor
    counts: Tensor

    def __init__(self, way: int = 20, shot: int = 1, query: int = 5) -> None:
        super().__init__()
        for name, value, least in (("way", way, 2), ("shot", shot, 1), ("query", query, 1)):
            if value < least:
                raise ValueError(f"{name} must be at least {least}, got {value}")
        self.way, self.shot, self.query = way, shot, query

    def build(self, net: Net, spec: DataSpec) -> None:
        """Makes room for the mean of each class ``(C, D)``, and of how many examples it is."""
        size = spec.num_classes
        self.register_buffer("prototypes", torch.zeros(size, net.backbone.num_features))
        self.register_buffer("counts", torch.zeros(size, dtype=torch.int64))

    def stages(self) -> Sequence[Stage]:
        """Returns one stage."""
        options = {"way": self.way, "shot": self.shot, "query": self.query}
        return [Stage("episodes", options=options)]

    def param_groups(self, net: Net, stage: int) -> list[dict[str, Any]]:
        """Returns the backbone's."""
        return [{"params": list(net.backbone.parameters())}]

    def loss(self, net: Net, batch: Batch, progress: float) -> Losses:
        """Returns the term ``classification`` and the queries' ``accuracy``."""
        support, query = batch["support"], batch["query"]
        features = net.features(concat(support["x"], query["x"]))
        shown = len(support["y"])
        logits = nearest_mean(features[:shown], support["y"], features[shown:], self.way)
        loss = F.cross_entropy(logits, query["y"])
        return Losses({"classification": loss}, {"accuracy": accuracy(logits, query["y"])})

    @torch.no_grad()
    def end_stage(self, net: Net, stage: int, data: StageData) -> None:
        """Computes the mean of each training class."""
        self.prototypes.zero_()
        self.counts.zero_()
        for batch in data.examples():
            self.prototypes.index_add_(0, batch["y"], net.features(batch["x"]).float())
            self.counts += torch.bincount(batch["y"], minlength=len(self.counts))
        self.prototypes /= self.counts.clamp_min(1).unsqueeze(1)

    def predict(self, net: Net, x: Input) -> Tensor:
        """Returns ``-|f(x) - m_c|^2`` (B, C); minus infinity for classes that were not trained on.

        Raises:
            UserError: Training has not ended, or an epoch before its end was chosen.
        """
        if not self.counts.any():
            raise UserError(
                "protonet knows the mean of each class only when training ends: "
                "type selection=last, or evaluation=episodes"
            )
        logits = minus_squared_distances(net.features(x), self.prototypes)
        return logits.masked_fill(self.counts == 0, -torch.inf)
