"""SHOT: adapts the features to a frozen classifier, without the source."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from tltool.backbones.base import Net
from tltool.losses.labels import label_metrics
from tltool.losses.self_training import centroid_labels, marginal_entropy, mean_entropy
from tltool.strategies.base import Batch, DataSpec, Losses, Stage, StageData, Strategy
from tltool.strategies.self_training import warn_collapse


class SHOT(Strategy):
    """Source hypothesis transfer: learns the source, then the target in rounds that never see it.

    First the cross-entropy with smoothed labels on the source. Then the head h is frozen, and the
    backbone f alone minimises, over the target,

        mean_i H(p_i) - H(mean_i p_i) + pseudo_label * CE(h(f(x_i)), c_i)

    with p the softmax of h(f(x)): certain predictions, of all classes equally often. The
    pseudo-labels c are found anew when a round begins, over all examples at once: the nearest
    class centre in f (`tltool.losses.self_training.centroid_labels`).

    Batch: ``x``, ``y`` (B,) of the source, then ``x``, ``index`` (B,) of the target.

    Logged: ``marginal_entropy``, H(mean p) in nats: log C where all classes are predicted.

    Args:
        rounds: How often the pseudo-labels are found; 0 is training on the source alone. They
            share the steps that the source leaves. [1] has one for each pass over the target.
        pseudo_label: Weight of the pseudo-labels, at least 0; 0.3 in [0], 0.1 for its digits.
        smoothing: Of the source's labels, in [0, 1).
        source_share: Part of the steps that the source gets, in (0, 1).
        lr_scale: Rate of the rounds, times ``optimizer.lr``, above 0.

    References:
        [0] Liang, Hu & Feng, Do we really need to access the source data? Source hypothesis
            transfer for unsupervised domain adaptation, ICML 2020.
        [1] tim-learn/SHOT; its head is normalised by weight, here it is the plain linear one, and
            its bottleneck is a part of the backbone.
    """

    feed: ClassVar[str] = "unlabelled"
    controls: ClassVar[tuple[str, ...]] = ("source_only", "train_on_target")
    limit: ClassVar[Mapping[str, Any]] = {"rounds": 0, "smoothing": 0.0}
    pseudo_labels: Tensor

    def __init__(
        self,
        rounds: int = 5,
        pseudo_label: float = 0.3,
        smoothing: float = 0.1,
        source_share: float = 0.5,
        lr_scale: float = 1.0,
    ) -> None:
        super().__init__()
        if rounds < 0:
            raise ValueError(f"rounds must not be negative, got {rounds}")
        if pseudo_label < 0:
            raise ValueError(f"pseudo_label must not be negative, got {pseudo_label}")
        if not 0 <= smoothing < 1:
            raise ValueError(f"smoothing must be at least 0 and below 1, got {smoothing}")
        if not 0 < source_share < 1:
            raise ValueError(f"source_share must be above 0 and below 1, got {source_share}")
        if not lr_scale > 0:
            raise ValueError(f"lr_scale must be above 0, got {lr_scale}")
        self.rounds, self.weight, self.smoothing = rounds, pseudo_label, smoothing
        self.source_share, self.lr_scale = source_share, lr_scale

    def build(self, net: Net, spec: DataSpec) -> None:
        """Makes room for the pseudo-labels, by the number of the example."""
        self.classes = spec.num_classes
        self.register_buffer("pseudo_labels", torch.zeros(spec.examples, dtype=torch.int64))

    def stages(self) -> Sequence[Stage]:
        """Returns the training on the source, and the rounds, which share an optimiser."""
        share = (1.0 - self.source_share) / max(1, self.rounds)
        return [
            Stage("source", share=self.source_share, feed="plain"),
            *(Stage(f"round {i + 1}", share, keep_optimizer=i > 0) for i in range(self.rounds)),
        ]

    def param_groups(self, net: Net, stage: int) -> list[dict[str, Any]]:
        """Returns the network, then its backbone alone."""
        if stage == 0:
            return [{"params": list(net.parameters())}]
        return [{"params": list(net.backbone.parameters()), "lr_scale": self.lr_scale}]

    @torch.no_grad()
    def begin_stage(self, net: Net, stage: int, data: StageData) -> None:
        """Finds the pseudo-labels of a round."""
        if stage == 0:
            return
        index, features, probabilities = [], [], []
        for batch in data.examples():
            f = net.features(batch["x"])
            index.append(batch["index"])
            features.append(f.float())
            probabilities.append(F.softmax(net.head(f).float(), dim=1))
        labels = centroid_labels(torch.cat(features), torch.cat(probabilities))
        self.pseudo_labels[torch.cat(index)] = labels

    def loss(self, net: Net, batch: Batch, progress: float) -> Losses:
        """Returns the term ``smoothed``, or ``entropy``, ``diversity`` and ``pseudo_label``."""
        logits = net(batch["x"])
        if self.stage == 0:
            loss = F.cross_entropy(logits, batch["y"], label_smoothing=self.smoothing)
            return Losses({"smoothed": loss}, label_metrics(logits, batch["y"]))
        marginal = marginal_entropy(logits)
        labels = self.pseudo_labels[batch["index"]]
        return Losses(
            {
                "entropy": mean_entropy(logits),
                "diversity": -marginal,
                "pseudo_label": self.weight * F.cross_entropy(logits, labels),
            },
            {"marginal_entropy": marginal},
        )

    def diagnose(self, history: Sequence[Mapping[str, float]]) -> list[str]:
        """Warns when few classes are predicted."""
        return warn_collapse(history, self.classes)
