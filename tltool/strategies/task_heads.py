"""Heads and losses of several tasks, for the strategies that learn more than one."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from tltool.losses.classification import accuracy, known_cross_entropy
from tltool.strategies.base import Losses


class TaskHeads(nn.Module):
    """A linear head for each task.

    Args:
        num_features: Length D of a feature vector.
        tasks: Class names of each task, by its name.
    """

    def __init__(self, num_features: int, tasks: Mapping[str, Sequence[str]]) -> None:
        super().__init__()
        self.tasks = tuple(tasks)
        # Not a ModuleDict: a task may be called what it refuses, such as "type" or "a.b".
        self.heads = nn.ModuleList(nn.Linear(num_features, len(c)) for c in tasks.values())

    def forward(self, features: Sequence[Tensor]) -> dict[str, Tensor]:
        """Maps features ``(B, D)`` of each task to its logits ``(B, C_t)``."""
        parts = zip(self.tasks, self.heads, features, strict=True)
        return {task: head(f) for task, head, f in parts}


def task_losses(logits: Mapping[str, Tensor], y: Mapping[str, Tensor]) -> Losses:
    """Returns the term ``classification_<task>``, the cross-entropy, of each task.

    The metrics are ``accuracy_<task>``, and ``accuracy``, their mean. Examples whose label of a
    task is -1 count for the other tasks only.

    Args:
        logits: ``(B, C_t)`` by task.
        y: ``(B,)`` by task.
    """
    terms = {f"classification_{t}": known_cross_entropy(logits[t], y[t]) for t in y}
    metrics = {f"accuracy_{t}": accuracy(logits[t], y[t]) for t in y}
    return Losses(terms, {"accuracy": torch.stack(list(metrics.values())).mean(), **metrics})
