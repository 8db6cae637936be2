"""Co-Tuning: the pretrained classifier is fine-tuned too, on the old classes of each new one."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tltool.backbones.base import Net
from tltool.losses.classification import accuracy
from tltool.losses.regularisation import class_relationship
from tltool.strategies.base import Batch, DataSpec, Losses, StageData, Strategy


class CoTuning(Strategy):
    """All layers learn, with them the classifier g that the weights were pretrained with.

        CE(h(f(x)), y) + trade_off * CE(g(f(x)), p(old class | y))

    The relationship ``p(old class | y)`` is the mean of ``softmax(g(f(x)) / temperature)`` over
    the training examples of class y, as the pretrained network sees them. Predictions are h's.

    Weights that come without a classifier (random ones, `backbone=lenet`, self-supervised ones)
    train as in full fine-tuning, with a warning.

    The temperature calibrates g, which takes data of the old classes: [1] has 1.13 for a
    ResNet-50 of ImageNet. [1] prefers a relationship learned in reverse, by a regression from old
    to new classes that held-out labels calibrate; this one is [2]'s and needs no held-out labels.

    Batch: ``x``, ``y`` (B,).

    Args:
        trade_off: Weight of the old classifier's loss, at least 0; 0 is full fine-tuning.
        temperature: What the old logits are divided by before they are averaged, above 0; above 1
            flattens.

    References:
        [0] You et al., Co-tuning for transfer learning, NeurIPS 2020.
        [1] The authors' CoTuning.
        [2] Transfer-Learning-Library, `co_tuning.py`.
    """

    feed: ClassVar[str] = "plain"
    controls: ClassVar[tuple[str, ...]] = ("finetune", "linear_probe", "from_scratch")
    limit: ClassVar[Mapping[str, Any]] = {"trade_off": 0.0}
    relationship: Tensor

    def __init__(self, trade_off: float = 2.3, temperature: float = 1.0) -> None:
        super().__init__()
        if trade_off < 0:
            raise ValueError(f"trade_off must not be negative, got {trade_off}")
        if temperature <= 0:
            raise ValueError(f"temperature must be above 0, got {temperature}")
        self.trade_off, self.temperature = trade_off, temperature
        self.old_head: nn.Linear | None = None
        self.register_load_state_dict_pre_hook(_add_old_head)  # type: ignore[no-untyped-call]

    def build(self, net: Net, spec: DataSpec) -> None:
        """Takes the old classifier, where there is one."""
        self.classes = spec.num_classes
        if net.backbone.classifier is not None:
            weight, bias = net.backbone.classifier
            old_head = self.add_old_head(*weight.shape)
            old_head.load_state_dict({"weight": weight, "bias": bias})

    def add_old_head(self, old_classes: int, features: int) -> nn.Linear:
        """Adds an old classifier and the relationship to its classes, neither filled in yet."""
        self.old_head = nn.Linear(features, old_classes)
        self.register_buffer("relationship", torch.zeros(self.classes, old_classes))
        return self.old_head

    @torch.no_grad()
    def begin_stage(self, net: Net, stage: int, data: StageData) -> None:
        """Learns the relationship."""
        if self.old_head is None:
            return
        predicted, labels = [], []
        for batch in data.examples():
            logits = self.old_head(net.features(batch["x"])).float()
            predicted.append(F.softmax(logits / self.temperature, dim=1))
            labels.append(batch["y"])
        found = class_relationship(torch.cat(predicted), torch.cat(labels), self.classes)
        self.relationship.copy_(found)

    def loss(self, net: Net, batch: Batch, progress: float) -> Losses:
        """Returns the terms ``classification`` and, with an old classifier, ``co_tuning``."""
        features, y = net.features(batch["x"]), batch["y"]
        logits = net.head(features)
        terms = {"classification": F.cross_entropy(logits, y)}
        if self.old_head is not None:
            old = F.cross_entropy(self.old_head(features), self.relationship[y])
            terms["co_tuning"] = self.trade_off * old
        return Losses(terms, {"accuracy": accuracy(logits, y)})

    def diagnose(self, history: Sequence[Mapping[str, float]]) -> list[str]:
        """Warns when there is no old classifier."""
        if self.old_head is not None:
            return []
        return [
            "the weights came without a classifier: strategy=co_tuning trains as finetune does; "
            "type a backbone with pretrained weights, such as backbone=efficientnet_lite0"
        ]


def _add_old_head(
    strategy: nn.Module, state: Mapping[str, Tensor], prefix: str, *_: object
) -> None:
    """Makes room for a saved old classifier: a trained run is built anew on random weights."""
    assert isinstance(strategy, CoTuning)
    if strategy.old_head is None and f"{prefix}old_head.weight" in state:
        strategy.add_old_head(*state[f"{prefix}old_head.weight"].shape)
