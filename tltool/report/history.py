"""The series of metrics.csv, thinned for a plot."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Row = dict[str, float]
Floats = NDArray[np.float64]


def series_names(history: Sequence[Row]) -> list[str]:
    """Returns the names of all series, in order of appearance, without ``step`` and ``epoch``."""
    names = dict.fromkeys(name for row in history for name in row)
    return [name for name in names if name not in ("step", "epoch")]


def series(history: Sequence[Row], name: str, points: int = 300) -> tuple[Floats, Floats]:
    """Returns steps and values of one series, finite values only.

    Args:
        history: Rows of metrics.csv.
        name: The series.
        points: Longer series are averaged over neighbouring rows down to at most this many.

    Returns:
        Steps (P,) and values (P,), P ≤ ``points``.
    """
    pairs = [(row["step"], row[name]) for row in history if "step" in row and name in row]
    rows = np.array([pair for pair in pairs if np.isfinite(pair).all()], dtype=float).reshape(-1, 2)
    if len(rows) > points:
        rows = np.array([part.mean(axis=0) for part in np.array_split(rows, points)])
    return rows[:, 0], rows[:, 1]
