"""Several random views of the same images: ``{views: [x1, x2]}``, no labels."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from tltool.data.feeds.base import Feed
from tltool.data.table import Table
from tltool.errors import UserError


class Views(Feed):
    """Batches ``{views: [x1, x2]}`` of all training images; labels never enter them.

    Here both are the same images; views are made of them on the device (`tltool.data.views`).

    Args:
        table: See `Feed`.
        batch_size: See `Feed`.
        seed: See `Feed`.
        rank: See `Feed`.
        world: See `Feed`.
        domain: Whose images; ``both`` is the source's alone where there is no target.
    """

    evaluation: ClassVar[str] = "representation"

    def __init__(
        self,
        table: Table,
        batch_size: int,
        seed: int,
        rank: int = 0,
        world: int = 1,
        domain: Literal["source", "target", "both"] = "both",
    ) -> None:
        self.domain = domain
        super().__init__(table, batch_size, seed, rank, world)

    def pools(self) -> Mapping[str, NDArray[np.int64]]:
        """Returns all rows of the training splits, those without a label among them.

        Raises:
            UserError: There are none.
        """
        domains = ("source", "target") if self.domain == "both" else (self.domain,)
        found = [rows for d in domains if (rows := self.table.rows.get((d, "train"))) is not None]
        if not found:
            raise UserError(
                f"the dataset has no training images of the {self.domain} to learn from: "
                "type strategy.domain=both"
            )
        return {"images": np.concatenate(found)}

    def part(self, role: str, rows: NDArray[np.int64]) -> dict[str, Any]:
        """Returns ``{views: [x, x]}``."""
        x, _ = self.table.take(rows)
        return {"views": [x, x]}
