"""Which labels a run learns from, beside the source's classes: the target's, and numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tltool.config.options import options as options_of
from tltool.config.signature import class_attribute
from tltool.data.cache import Arrays
from tltool.data.feeds import feed_class
from tltool.data.labels import draw_labels
from tltool.data.numbers import check_options
from tltool.data.options import DataOptions
from tltool.errors import UserError
from tltool.strategies.base import Strategy

if TYPE_CHECKING:
    from tltool.run.build import Parts

Rows = NDArray[np.int64]


def known_rows(
    arrays: Arrays, rows: Mapping[tuple[str, str], Rows], amount: int | str | None, seed: int
) -> Rows:
    """Draws the target's training rows whose labels are learned from.

    Raises:
        UserError: There are not as many.
    """
    train = rows.get(("target", "train"), np.empty(0, np.int64))
    labels = arrays.labels[train]
    train = train[(labels >= 0) & (labels < len(arrays.class_names))]
    if amount is None:
        return train[:0]
    if len(train) == 0:
        raise UserError(
            f"dataset.target_labels={amount}: no training example of the target has a label of a "
            "class of the source"
        )
    names = tuple(arrays.class_names)
    try:
        return draw_labels(arrays.labels, train, amount, seed, names, "target_labels", "the target")
    except ValueError as error:
        raise UserError(f"dataset.{error}") from error


def check_lessons(strategy: Strategy, sources: int) -> None:
    """Refuses what would pass known labels of the target over.

    Args:
        strategy: That learns.
        sources: How many there are.

    Raises:
        UserError: This is one.
    """
    if sources > 1:
        raise UserError(
            "dataset.target_labels: an example of the target is of none of the several sources: "
            "leave it out, or type a single dataset.source"
        )
    feeds = {stage.feed or strategy.feed for stage in strategy.stages()}
    if not any(feed_class(name).lessons for name in feeds):
        raise UserError(
            "dataset.target_labels: this strategy learns from none of them: leave it out, or "
            "choose another strategy (`tltool list strategy`)"
        )


def check_numbers(strategy: Strategy, options: DataOptions) -> None:
    """Refuses, before anything is decoded, what cannot be had where labels are numbers.

    Raises:
        UserError: Options, one line each, or the strategy.
    """
    check_options(options)
    if not strategy.regression:
        fit = [o.name for o in options_of("strategy") if class_attribute(o.target, "regression")]
        raise UserError(
            "labels are numbers (dataset.regression=true), and this strategy learns classes: type "
            f"strategy={' or '.join(fit)}"
        )


def target_labels(parts: Parts) -> dict[str, Any] | None:
    """Returns how many target labels are learned from, ``per_class`` and in all; None for none."""
    if parts.model.strategy.uses_target_labels:
        return {"per_class": "100%", "examples": len(parts.table.lessons("target"))}
    amount = parts.config["dataset"].get("target_labels")
    if amount is None:
        return None
    return {"per_class": amount, "examples": len(parts.table.known)}
