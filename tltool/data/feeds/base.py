"""A feed makes training batches of one shape; any strategy that wants that shape can use it."""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

from tltool.data.streams import MixedStream, Stream
from tltool.data.table import Table


class Feed(Dataset[dict[str, Any]]):
    """Batch number ``step`` is ``feed[step]``, whichever process asks and in whatever order.

    Subclasses name their streams of rows (`pools`) and say what a batch holds of each (`part`). A
    subclass lives in a module of its own, is called like it (`pair.Pair`), and needs no
    registration. Further keyword arguments of a subclass are the options that a
    `tltool.strategies.base.Stage` can set.

    Where there are several sources, those that a stream draws from give equally many examples,
    whatever their sizes.

    Attributes:
        evaluation: What a network that learned from it is scored by; see `tltool.evaluation`.
        adapts: Target examples are learned from, without their labels.
        lessons: The labels in it are those of `Table.lessons`, and so of a few target examples.

    Args:
        table: All examples.
        batch_size: Of one stream, over all devices.
        seed: The run's seed.
        rank: Which device this is, of ``world``: it gets every ``world``-th row of a batch.
        world: How many devices there are.
    """

    evaluation: ClassVar[str] = "domains"
    adapts: ClassVar[bool] = False
    lessons: ClassVar[bool] = False

    def __init__(
        self, table: Table, batch_size: int, seed: int, rank: int = 0, world: int = 1
    ) -> None:
        self.table, self.rank, self.world = table, rank, world
        self.batch_size = batch_size
        self.streams = {role: self._stream(role, pool, seed) for role, pool in self.pools().items()}

    def _stream(self, role: str, pool: NDArray[np.int64], seed: int) -> Stream | MixedStream:
        parts = self.table.by_source(pool)
        if len(parts) > 1:
            return MixedStream(parts, self.batch_size, seed, role)
        return Stream(pool, self.batch_size, seed, role)

    @property
    def examples(self) -> int:
        """Examples of a batch, over all devices and streams."""
        return len(self.streams) * self.batch_size

    def pools(self) -> Mapping[str, NDArray[np.int64]]:
        """Returns the training rows of each stream, by role."""
        raise NotImplementedError

    def part(self, role: str, rows: NDArray[np.int64]) -> dict[str, Any]:
        """Returns what a batch holds of some rows in a role."""
        raise NotImplementedError

    def collate(self, rows: Mapping[str, NDArray[np.int64]]) -> dict[str, Any]:
        """Returns the batch of some rows, by role: the first role's part, or nested by role."""
        if len(rows) == 1:
            return self.part(*next(iter(rows.items())))
        return {role: self.part(role, some) for role, some in rows.items()}

    def __len__(self) -> int:
        """Batches in an epoch: one pass over the longest stream."""
        return max(len(stream) for stream in self.streams.values())

    @property
    def run_epoch(self) -> int:
        """Batches in an epoch of the run, where this feed shows a part of what it learns from."""
        return len(self)

    def __getitem__(self, step: int) -> dict[str, Any]:
        """Returns the batch of a step, counted from 0 and without end."""
        return self.collate(
            {k: s.batch(step)[self.rank :: self.world] for k, s in self.streams.items()}
        )
