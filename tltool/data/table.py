"""All examples of a run, and which of them belong to which domain and split."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class Table:
    """Examples by row number.

    Args:
        x: Inputs ``(N, ...)``: uint8 images ``(N, C, H, W)``, or features ``(N, D)``.
        y: Labels ``(N,)``, int64; -1 where there is none.
        rows: Row numbers of each (domain, split), such as ``("target", "test")``.
        class_names: Names in the order of the labels.
    """

    x: Tensor
    y: Tensor
    rows: Mapping[tuple[str, str], NDArray[np.int64]]
    class_names: tuple[str, ...]

    def take(self, rows: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Returns inputs and labels of some rows."""
        index = torch.from_numpy(rows)
        return self.x[index], self.y[index]

    def labelled(self, domain: str, split: str) -> NDArray[np.int64]:
        """Returns the rows of a (domain, split) that have a label; empty where there are none."""
        rows = self.rows.get((domain, split), np.empty(0, np.int64))
        return rows[self.y.numpy()[rows] >= 0]
