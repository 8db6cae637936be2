"""Labels that are numbers: what is learned is how far each is from the mean."""

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from tltool.data.options import DataOptions
from tltool.data.table import Scale, Table
from tltool.errors import UserError


def standardised(table: Table) -> Table:
    """Returns the table with labels ``(y - mean) / std``, float32, and the scale they are on.

    Mean and standard deviation are those of the source's training labels alone.

    Raises:
        UserError: Those are all the same.
    """
    y = table.y.double()
    seen = y[torch.from_numpy(table.labelled("source", "train"))]
    if len(np.unique(seen.numpy())) < 2:
        raise UserError(
            f"the {len(seen)} labels of the source's training examples are all the same: there is "
            "nothing to learn from them"
        )
    scale = Scale(float(seen.mean()), float(seen.std(correction=0)))
    return replace(table, y=((y - scale.mean) / scale.std).float(), scale=scale)


def strata(labels: NDArray[np.int64] | NDArray[np.float64]) -> NDArray[np.int64]:
    """Returns what a split is stratified by: classes; of numbers, only whether there is one."""
    if labels.dtype.kind != "f":
        return labels.astype(np.int64, copy=False)
    return np.where(np.isnan(labels), -1, 0)


def check_options(options: DataOptions) -> None:
    """Refuses what is about classes.

    Raises:
        UserError: One line for each option.
    """
    given = {
        f"dataset.{key}": getattr(options, key)
        for key in (
            *("labels_per_class", "target_labels", "source_classes", "target_classes"),
            "contexts",
        )
    }
    given["dataset.split_by"] = None if options.split_by == "example" else options.split_by
    problems = [
        f"{key}={value}: labels that are numbers have no classes; leave it out"
        for key, value in given.items()
        if value is not None
    ]
    if problems:
        raise UserError(*problems)
