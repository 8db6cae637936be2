"""Matrices as pictures: confusion, and grids whose rows and columns are alike."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tltool.report.drawing import INK, MAX_NAMED, SHADE, WIDTH, Plot, axes_of, inline
from tltool.report.history import Floats

NAME_LENGTH = 14  # characters of a name beside a matrix


def confusion_plot(name: str, counts: NDArray[np.integer], class_names: Sequence[str]) -> Plot:
    """Draws a confusion matrix: colour is the share of the row, numbers are counts.

    Args:
        name: Of the split, for the title.
        counts: (C, C), rows are true classes.
        class_names: C names.
    """
    classes = len(class_names)
    share = row_shares(counts)
    with axes_of(WIDTH, 5.2) as (figure, axes):
        axes.grid(False)
        axes.imshow(np.dstack([np.broadcast_to(SHADE, (classes, classes, 3)), share]))
        axes.set_xlabel("predicted class" if classes <= MAX_NAMED else "predicted class (index)")
        axes.set_ylabel("true class" if classes <= MAX_NAMED else "true class (index)")
        if classes <= MAX_NAMED:
            _write_counts(axes, counts, share)
            _name_classes(axes, [_shorten(word) for word in class_names])
        right, total = int(np.trace(counts)), int(counts.sum())
        alt = f"Confusion matrix of {name}, {classes} classes: {right} of {total} images on the"
        svg = inline(figure, f"{alt} diagonal")
    return Plot(name, svg, note=f"{right:,} of {total:,} images on the diagonal")


def row_shares(counts: NDArray[np.integer]) -> Floats:
    """Divides each row of (C, C) counts by its sum; a row without images stays zero."""
    shares: Floats = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return shares


def _write_counts(axes: Any, counts: NDArray[np.integer], share: Floats) -> None:
    size = 10 if len(counts) <= 12 else 7
    for (row, column), count in np.ndenumerate(counts):
        full = share[row, column] > 0.5
        faint = 0.4 if count == 0 else 1.0
        colour = "white" if full else INK
        axes.text(
            column, row, str(count), color=colour, alpha=faint, fontsize=size,
            ha="center", va="center",
        )  # fmt: skip


def _name_classes(axes: Any, names: Sequence[str]) -> None:
    upright = len("".join(names)) <= 2 * MAX_NAMED  # digits and letters fit beside one another
    axes.set_xticks(range(len(names)), names, rotation=0 if upright else 90)
    axes.set_yticks(range(len(names)), names)


def _shorten(name: str) -> str:
    return name if len(name) <= NAME_LENGTH else f"{name[: NAME_LENGTH - 1]}…"


def grid_plot(grid: Mapping[str, Any]) -> Plot:
    """Draws a grid of results.json: colour is the value, numbers are percent.

    Args:
        grid: A `tltool.evaluation.base.Grid` of fractions, as a mapping.
    """
    values = np.array([[np.nan if v is None else v for v in row] for row in grid["values"]])
    height = 0.4 + (WIDTH - 1.0) * len(values) / max(values.shape[1], 1)
    with axes_of(WIDTH, height) as (figure, axes):
        axes.grid(False)
        share = np.nan_to_num(values)
        axes.imshow(np.dstack([np.broadcast_to(SHADE, (*values.shape, 3)), share]))
        for (row, column), value in np.ndenumerate(values):
            if np.isfinite(value):
                colour = "white" if value > 0.5 else INK
                axes.text(column, row, f"{100 * value:.1f}", color=colour, ha="center", va="center")
        axes.set_xticks(range(values.shape[1]), [_shorten(name) for name in grid["columns"]])
        axes.set_yticks(range(values.shape[0]), [_shorten(name) for name in grid["rows"]])
        words = "; ".join(
            f"{name}: {', '.join(f'{100 * v:.1f}' for v in row)}"
            for name, row in zip(grid["rows"], values, strict=True)
        )
        svg = inline(figure, f"{grid['title']}, in percent. {words}")
    return Plot(grid["title"], svg, note="in percent")
