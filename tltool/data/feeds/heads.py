"""Examples with a label for each task: ``{x, y: {task: ...}}``."""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from tltool.data.feeds.base import Feed
from tltool.errors import UserError


class Heads(Feed):
    """Batches ``{x, y: {task: (B,)}}`` of the source's training split; a label may be -1, unknown.

    Examples without a label of any task are left out.
    """

    evaluation: ClassVar[str] = "tasks"

    def pools(self) -> Mapping[str, NDArray[np.int64]]:
        """Returns the rows that have a label of some task.

        Raises:
            UserError: The dataset has labels of one task only, or none for training.
        """
        tasks = self.table.tasks
        if not tasks:
            raise UserError(
                "this strategy learns several tasks at once, and the dataset has labels of one: "
                "type dataset=multi_mnist, or a dataset with a column of labels for each task"
            )
        rows = self.table.rows["source", "train"]
        labels = np.stack([column.values.numpy()[rows] for column in tasks.values()])
        rows = rows[labels.max(axis=0) >= 0]
        if len(rows) == 0:
            raise UserError("no training example of the source has a label of any task")
        return {"source": rows}

    def part(self, role: str, rows: NDArray[np.int64]) -> dict[str, Any]:
        """Returns ``{x, y: {task: (B,)}}``."""
        x, _ = self.table.take(rows)
        index = torch.from_numpy(rows)
        return {"x": x, "y": {name: c.values[index] for name, c in self.table.tasks.items()}}
