"""Hard parameter sharing: one backbone, a head for each task."""

from typing import Any, ClassVar

from torch import Tensor

from tltool.backbones.base import Input, Net
from tltool.strategies.base import Batch, DataSpec, Losses, Strategy
from tltool.strategies.task_heads import TaskHeads, task_losses


class HardSharing(Strategy):
    """All tasks through one backbone f and a linear head h_t each, all equally weighted.

    Minimises ``sum_t CE(h_t(f(x)), y_t)``. It is the sum and not the mean, so that each head learns
    at the rate at which it would learn alone; the "uniform scaling" of [1] divides by the number
    of tasks.

    Batch: ``x``, ``y`` {task: (B,)}, -1 where a label is not known.

    References:
        [0] Caruana, Multitask learning, Machine Learning 1997.
        [1] Sener & Koltun, Multi-task learning as multi-objective optimization, NeurIPS 2018.
    """

    feed: ClassVar[str] = "heads"
    controls: ClassVar[tuple[str, ...]] = ("single_task",)

    def build(self, net: Net, spec: DataSpec) -> None:
        """Creates the heads."""
        self.heads = TaskHeads(net.backbone.num_features, spec.tasks)

    def param_groups(self, net: Net, stage: int) -> list[dict[str, Any]]:
        """Returns the backbone and the heads; the network's own head is not used."""
        return [{"params": [*net.backbone.parameters(), *self.parameters()]}]

    def loss(self, net: Net, batch: Batch, progress: float) -> Losses:
        """Returns the term ``classification_<task>`` of each task."""
        return task_losses(self.predict_tasks(net, batch["x"]), batch["y"])

    def predict_tasks(self, net: Net, x: Input) -> dict[str, Tensor]:
        """Returns logits ``(B, C_t)`` of each task."""
        logits: dict[str, Tensor] = self.heads([net.features(x)] * len(self.heads.tasks))
        return logits

    def predict(self, net: Net, x: Input) -> Tensor:
        """Returns logits of the first task."""
        return self.predict_tasks(net, x)[self.heads.tasks[0]]
