"""Labelled source examples: ``{x, y}``."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tltool.data.feeds.base import Feed


class Plain(Feed):
    """Batches ``{x, y}`` of the source's training split."""

    def pools(self) -> Mapping[str, NDArray[np.int64]]:
        """Returns the labelled source rows."""
        return {"source": self.table.labelled("source", "train")}

    def collate(self, rows: Mapping[str, NDArray[np.int64]]) -> dict[str, Any]:
        """Returns ``{x, y}``."""
        x, y = self.table.take(rows["source"])
        return {"x": x, "y": y}
