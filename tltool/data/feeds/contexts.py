"""One context after the other: ``{x, y, classes}``, and ``memory`` of the contexts before."""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from tltool.data.feeds.base import Feed
from tltool.data.table import Table
from tltool.errors import UserError


class Contexts(Feed):
    """Batches ``{x, y, classes}`` of one context, ``classes`` (B, C) being those possible in it.

    With ``memory`` they also hold ``memory``: ``{x, y, classes}``, as many examples, drawn from a
    fixed choice of so many a class and context out of the contexts before.

    Args:
        table: See `Feed`.
        batch_size: See `Feed`.
        seed: See `Feed`; it also chooses what is remembered.
        rank: See `Feed`.
        world: See `Feed`.
        context: Number of the context, from 0; ``None`` is all of them together.
        memory: Examples of each class that are remembered of every context before.
    """

    evaluation: ClassVar[str] = "contexts"

    def __init__(
        self,
        table: Table,
        batch_size: int,
        seed: int,
        rank: int = 0,
        world: int = 1,
        context: int | None = None,
        memory: int = 0,
    ) -> None:
        if table.contexts is None:
            raise UserError(
                "this strategy learns one context after the other, and the dataset is in one piece:"
                " type dataset.contexts=5, or the number that you want"
            )
        self.contexts, self.context, self.memory, self.seed = table.contexts, context, memory, seed
        super().__init__(table, batch_size, seed, rank, world)

    def pools(self) -> Mapping[str, NDArray[np.int64]]:
        """Returns the context's rows, and the remembered ones where there are any.

        Raises:
            UserError: The context has no training examples.
        """
        rows = self.table.labelled("source", "train")
        of = self.contexts.of.numpy()[rows]
        pools = {"context": rows if self.context is None else rows[of == self.context]}
        if len(pools["context"]) == 0:
            raise UserError(
                f"context {self.contexts.names[self.context or 0]} has no training examples: "
                "type dataset.split_by=example, or give every class some"
            )
        if self.context and self.memory:
            pools["memory"] = np.concatenate(
                [self._remembered(rows[of == before], before) for before in range(self.context)]
            )
        return pools

    def _remembered(self, rows: NDArray[np.int64], context: int) -> NDArray[np.int64]:
        order = np.random.default_rng([self.seed, context]).permutation(rows)
        labels = self.table.y.numpy()[order]
        return np.concatenate([order[labels == c][: self.memory] for c in np.unique(labels)])

    @property
    def run_epoch(self) -> int:
        """Batches in one pass over all contexts."""
        return -(-len(self.table.labelled("source", "train")) // self.streams["context"].batch_size)

    def part(self, role: str, rows: NDArray[np.int64]) -> dict[str, Any]:
        """Returns ``{x, y, classes}``."""
        x, y = self.table.take(rows)
        of = self.contexts.of[torch.from_numpy(rows)]
        return {"x": x, "y": y, "classes": self.contexts.classes[of]}

    def collate(self, rows: Mapping[str, NDArray[np.int64]]) -> dict[str, Any]:
        """Returns the context's part, with the part ``memory`` in it."""
        batch = self.part("context", rows["context"])
        if "memory" in rows:
            batch["memory"] = self.part("memory", rows["memory"])
        return batch
