"""Examples of one domain without their labels: ``{x, index}``."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from tltool.data.feeds.base import Feed
from tltool.data.table import Table
from tltool.errors import UserError


class Unlabelled(Feed):
    """Batches ``{x, index}`` of a domain's training split; labels never enter them.

    ``index`` (B,) is the number of each example, the same in every epoch.

    Args:
        table: See `Feed`.
        batch_size: See `Feed`.
        seed: See `Feed`.
        rank: See `Feed`.
        world: See `Feed`.
        domain: The one to learn from.
        views: So many random views of the images, as ``views`` beside ``x``.
    """

    adapts: ClassVar[bool] = True

    def __init__(
        self,
        table: Table,
        batch_size: int,
        seed: int,
        rank: int = 0,
        world: int = 1,
        domain: Literal["source", "target"] = "target",
        views: int = 0,
    ) -> None:
        self.domain, self.views = domain, views
        super().__init__(table, batch_size, seed, rank, world)

    def pools(self) -> Mapping[str, NDArray[np.int64]]:
        """Returns all rows of the domain.

        Raises:
            UserError: There are none.
        """
        rows = self.table.rows.get((self.domain, "train"))
        if rows is None:
            raise UserError(
                f"this strategy learns from the {self.domain} and the dataset has none: "
                "type dataset.target=FOLDER, or a dataset with two domains (`tltool list dataset`)"
            )
        return {self.domain: rows}

    def part(self, role: str, rows: NDArray[np.int64]) -> dict[str, Any]:
        """Returns ``{x, index}``, with ``views`` where they are asked for."""
        x, _ = self.table.take(rows)
        part = {"x": x, "index": torch.from_numpy(rows)}
        return {**part, "views": [x] * self.views} if self.views else part
