"""A network of its own for each task: what one has without sharing."""

import copy
from typing import Any, ClassVar

from torch import Tensor, nn

from tltool.backbones.base import Input, Net
from tltool.strategies.base import Batch, DataSpec, Losses, StageData, Strategy
from tltool.strategies.task_heads import TaskHeads, task_losses


class SingleTask(Strategy):
    """The control of multi-task methods: ``sum_t CE(h_t(f_t(x)), y_t)``, nothing shared.

    All networks start from the same weights and see the same batches. The terms have no parameter
    in common, so that each network learns as it would alone, but for `optimizer.clip`, which
    limits the norm of all gradients together. The first task's network is the run's own.

    Batch: ``x``, ``y`` {task: (B,)}, -1 where a label is not known.
    """

    feed: ClassVar[str] = "heads"

    def build(self, net: Net, spec: DataSpec) -> None:
        """Creates the heads, and a backbone for every task but the first."""
        self.heads = TaskHeads(net.backbone.num_features, spec.tasks)
        self.others = nn.ModuleList(copy.deepcopy(net.backbone) for _ in self.heads.tasks[1:])

    def begin_stage(self, net: Net, stage: int, data: StageData) -> None:
        """Starts all backbones from the run's as it is now: a step before may have trained it."""
        for backbone in self.others:
            backbone.load_state_dict(net.backbone.state_dict())

    def param_groups(self, net: Net, stage: int) -> list[dict[str, Any]]:
        """Returns backbones and heads; the network's own head is not used."""
        return [{"params": [*net.backbone.parameters(), *self.parameters()]}]

    def loss(self, net: Net, batch: Batch, progress: float) -> Losses:
        """Returns the term ``classification_<task>`` of each task."""
        return task_losses(self.predict_tasks(net, batch["x"]), batch["y"])

    def predict_tasks(self, net: Net, x: Input) -> dict[str, Tensor]:
        """Returns logits ``(B, C_t)`` of each task."""
        features = [net.features(x), *(backbone(x) for backbone in self.others)]
        logits: dict[str, Tensor] = self.heads(features)
        return logits

    def predict(self, net: Net, x: Input) -> Tensor:
        """Returns logits of the first task."""
        return self.predict_tasks(net, x)[self.heads.tasks[0]]
