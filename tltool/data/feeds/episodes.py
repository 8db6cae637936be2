"""Small classification tasks: ``{support: {x, y}, query: {x, y}}``."""

import zlib
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tltool.data.feeds.base import Feed
from tltool.data.table import Table
from tltool.errors import UserError


class Episodes(Feed):
    """Batches ``{support: {x, y}, query: {x, y}}`` of a few training classes of the source.

    ``y`` is 0 to way - 1: the number of the class within the episode, in the order in which the
    classes were drawn. No example is in both parts, and examples of one class are adjacent.

    Episode number n is a function of the run's seed and n. With several devices each gets an
    episode of its own at every step, number ``step * world + rank``: they see the episodes that
    one device sees in ``world`` times as many steps.

    An epoch is as many episodes as hold as many examples as there are to draw from. The batch size
    has no say: a batch holds ``way * (shot + query)`` examples.

    Args:
        table: See `Feed`.
        batch_size: See `Feed`; not used.
        seed: See `Feed`.
        rank: See `Feed`.
        world: See `Feed`.
        way: Classes of an episode.
        shot: Examples of each class to learn from.
        query: Further examples of each class, to tell apart.
    """

    evaluation: ClassVar[str] = "episodes"

    def __init__(
        self,
        table: Table,
        batch_size: int,
        seed: int,
        rank: int = 0,
        world: int = 1,
        way: int = 20,
        shot: int = 1,
        query: int = 5,
    ) -> None:
        self.way, self.shot, self.query = way, shot, query
        self._entropy = (seed, zlib.crc32(b"episodes"))
        self.classes = rows_of_classes(table, table.labelled("source", "train"), shot + query)
        if len(self.classes) < way:
            raise UserError(_too_few(len(self.classes), way, shot, query))
        super().__init__(table, batch_size, seed, rank, world)

    @property
    def examples(self) -> int:
        """Examples of a batch, over all devices."""
        return self.world * self.way * (self.shot + self.query)

    def pools(self) -> Mapping[str, NDArray[np.int64]]:
        """Returns the rows of all classes that episodes are made of."""
        return {"episode": np.concatenate(self.classes)}

    def part(self, role: str, rows: NDArray[np.int64]) -> dict[str, Any]:
        """Returns ``{x, y}``, y being the classes of the table."""
        x, y = self.table.take(rows)
        return {"x": x, "y": y}

    def __len__(self) -> int:
        """Episodes, on each device, that hold as many examples as there are to draw from."""
        return -(-sum(map(len, self.classes)) // self.examples)

    def __getitem__(self, step: int) -> dict[str, Any]:
        """Returns this device's episode of a step, counted from 0 and without end."""
        rng = np.random.default_rng([*self._entropy, step * self.world + self.rank])
        support, query = draw_episode(self.classes, self.way, self.shot, self.query, rng)
        return {"support": self._labelled(support), "query": self._labelled(query)}

    def _labelled(self, drawn: Sequence[NDArray[np.int64]]) -> dict[str, Any]:
        x, _ = self.table.take(np.concatenate(drawn))
        return {"x": x, "y": episode_labels(drawn)}


def rows_of_classes(
    table: Table, rows: NDArray[np.int64], at_least: int
) -> list[NDArray[np.int64]]:
    """Returns the rows of each class that has at least so many, in the order of the labels."""
    labels = table.y.numpy()[rows]
    order = np.argsort(labels, kind="stable")
    starts = np.flatnonzero(np.diff(labels[order], prepend=-1))
    return [part for part in np.split(rows[order], starts[1:]) if len(part) >= at_least]


def draw_episode(
    classes: Sequence[NDArray[np.int64]],
    way: int,
    shot: int,
    query: int,
    rng: np.random.Generator,
) -> tuple[list[NDArray[np.int64]], list[NDArray[np.int64]]]:
    """Draws the rows of an episode, none of them twice.

    Args:
        classes: Rows of each class, more than ``shot`` each.
        way: Classes to draw.
        shot: Examples of each to learn from.
        query: Further examples of each, or all that are left.
        rng: Draws.

    Returns:
        Of each class that was drawn: the rows of the support, and those of the queries.
    """
    chosen = [classes[c] for c in rng.choice(len(classes), way, replace=False)]
    rows = [rng.choice(of, min(len(of), shot + query), replace=False) for of in chosen]
    return [of[:shot] for of in rows], [of[shot:] for of in rows]


def episode_labels(drawn: Sequence[NDArray[np.int64]]) -> Tensor:
    """Returns the labels of an episode's rows, class after class: 0, 0, ..., 1, 1, ..."""
    counts = torch.tensor([len(of) for of in drawn])
    return torch.arange(len(drawn)).repeat_interleave(counts)


def _too_few(found: int, way: int, shot: int, query: int) -> str:
    has = (
        f"strategy.way={way}: {found} training classes have the {shot + query} examples "
        f"that strategy.shot={shot} and strategy.query={query} take"
    )
    if found >= 2:
        return f"{has}: type strategy.way={found}, or a smaller strategy.query"
    return f"{has}: type a smaller strategy.query, or a dataset with more (`tltool list dataset`)"
