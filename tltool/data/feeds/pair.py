"""A labelled source, an unlabelled target: ``{source: {x, y, index}, target: {x, index}}``."""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from tltool.data.feeds.base import Feed
from tltool.data.table import DOMAIN, Table
from tltool.errors import UserError


class Pair(Feed):
    """Batches of both domains' training splits; target labels never enter them.

    But for those that are known (`Table.lessons`): their examples stand in the source's role, with
    their labels, and in the target's, without. ``index`` (B,) is the number of each example, the
    same in every epoch. Where there are several sources, ``source`` holds as many examples of
    each, and ``domain`` (B,), the number of each example's.

    Args:
        table: See `Feed`.
        batch_size: See `Feed`.
        seed: See `Feed`.
        rank: See `Feed`.
        world: See `Feed`.
        views: So many random views of the target's images, as ``views`` beside ``x``.
        source_views: The same of the source's.
    """

    adapts: ClassVar[bool] = True
    lessons: ClassVar[bool] = True

    def __init__(
        self,
        table: Table,
        batch_size: int,
        seed: int,
        rank: int = 0,
        world: int = 1,
        views: int = 0,
        source_views: int = 0,
    ) -> None:
        self.views = {"target": views, "source": source_views}
        super().__init__(table, batch_size, seed, rank, world)

    def pools(self) -> Mapping[str, NDArray[np.int64]]:
        """Returns the labelled source rows and all target rows.

        Raises:
            UserError: The dataset has no target.
        """
        if ("target", "train") not in self.table.rows:
            raise UserError(
                "this strategy adapts to a target and the dataset has none: "
                "type dataset.target=FOLDER, or a dataset with two domains (`tltool list dataset`)"
            )
        return {
            "source": self.table.lessons("source"),
            "target": self.table.rows["target", "train"],
        }

    def part(self, role: str, rows: NDArray[np.int64]) -> dict[str, Any]:
        """Returns ``{x, y, index}``, with ``domain``, of the source; ``{x, index}`` else."""
        x, y = self.table.take(rows)
        part = {"x": x, "index": torch.from_numpy(rows)}
        if role == "source":
            part["y"] = y
            if DOMAIN in self.table.columns:
                part["domain"] = self.table.columns[DOMAIN].values[part["index"]]
        if count := self.views[role]:
            part["views"] = [x] * count
        return part
