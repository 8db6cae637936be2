"""Labelled examples of one domain: ``{x, y, index}``, with ``group`` and ``domain`` if named."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from tltool.data.feeds.base import Feed
from tltool.data.table import DOMAIN, GROUP, Table
from tltool.errors import UserError


class Plain(Feed):
    """Batches ``{x, y, index}`` of a domain's training split, with ``group`` where there is one.

    Where there are several sources, they also hold ``domain`` (B,), the number of each example's,
    and as many examples of each. The source's hold those of the target whose labels are known too,
    see `Table.lessons`.

    Args:
        table: See `Feed`.
        batch_size: See `Feed`.
        seed: See `Feed`.
        rank: See `Feed`.
        world: See `Feed`.
        domain: The one to learn from.
    """

    lessons: ClassVar[bool] = True

    def __init__(
        self,
        table: Table,
        batch_size: int,
        seed: int,
        rank: int = 0,
        world: int = 1,
        domain: Literal["source", "target"] = "source",
    ) -> None:
        self.domain = domain
        super().__init__(table, batch_size, seed, rank, world)

    def pools(self) -> Mapping[str, NDArray[np.int64]]:
        """Returns the domain's labelled rows.

        Raises:
            UserError: There are none.
        """
        rows = self.table.lessons(self.domain)
        if len(rows) == 0:
            raise UserError(
                f"this strategy learns from labels of the {self.domain}, and the dataset has none: "
                "choose another strategy (`tltool list strategy`) or dataset"
            )
        return {self.domain: rows}

    def part(self, role: str, rows: NDArray[np.int64]) -> dict[str, Any]:
        """Returns ``{x, y, index}``, with ``group`` and ``domain`` where the table has them."""
        x, y = self.table.take(rows)
        index = torch.from_numpy(rows)
        part = {"x": x, "y": y, "index": index}
        if GROUP in self.table.columns:
            part["group"] = self.table.columns[GROUP].values[index]
        if self.domain == "source" and DOMAIN in self.table.columns:
            part["domain"] = self.table.columns[DOMAIN].values[index]
        return part
