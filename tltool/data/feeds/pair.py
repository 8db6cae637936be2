"""A labelled source and an unlabelled target: ``{source: {x, y}, target: {x}}``."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tltool.data.feeds.base import Feed
from tltool.errors import UserError


class Pair(Feed):
    """Batches of both domains' training splits; target labels never enter them."""

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
            "source": self.table.labelled("source", "train"),
            "target": self.table.rows["target", "train"],
        }

    def part(self, role: str, rows: NDArray[np.int64]) -> dict[str, Any]:
        """Returns ``{x, y}`` of the source, ``{x}`` of the target."""
        x, y = self.table.take(rows)
        return {"x": x, "y": y} if role == "source" else {"x": x}
