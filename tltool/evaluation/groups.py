"""What the groups of a dataset get, by fairlearn's MetricFrame."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tltool.evaluation.base import Grid

Labels = NDArray[np.int64]
Rates = NDArray[np.float64]


def group_scores(
    split: str,
    labels: Labels,
    predicted: Labels,
    groups: Labels,
    class_names: Sequence[str],
    group_names: Sequence[str],
) -> tuple[dict[str, float], tuple[Grid, ...]]:
    """Returns figures of how differently groups are treated, and the rates that they come from.

    With the selection rate ``P(h = c | a)`` and the recall ``P(h = c | a, y = c)`` of class c in
    group a, differences being those of the largest and the smallest group's:

    - ``accuracy_gap``: difference of the accuracies;
    - ``worst_group_accuracy``: the smallest of them;
    - ``demographic_parity_difference``: difference of the selection rates;
    - ``equalized_odds_difference``: the larger one of the differences of ``P(h = c | a, y = c)``
      and of ``P(h = c | a, y != c)``.

    The last two are of that class, taken against all others, for which they are largest. Of two
    classes both give the same, which is fairlearn's figure. A rate of no example is left out.

    Args:
        split: Goes before the names.
        labels: True classes ``(N,)``.
        predicted: Predicted classes ``(N,)``.
        groups: Groups ``(N,)``; -1, not known, is left out.
        class_names: C names.
        group_names: A names.

    References:
        [0] Hardt, Price & Srebro, Equality of opportunity in supervised learning, NeurIPS 2016.
        [1] fairlearn, `demographic_parity_difference` and `equalized_odds_difference`; a rate of no
            example counts as 0 there.
    """
    known = groups >= 0
    if not known.any():
        return {}, ()
    from fairlearn.metrics import MetricFrame  # here: they take a second to import
    from sklearn.metrics import confusion_matrix

    def confusion(y_true: Labels, y_pred: Labels) -> Any:
        return confusion_matrix(y_true, y_pred, labels=range(len(class_names)))

    # The one metric that holds all the others: one for each class and rate takes minutes.
    frame = MetricFrame(
        metrics=confusion,
        y_true=labels[known],
        y_pred=predicted[known],
        sensitive_features=groups[known],
    )
    counts = np.stack(frame.by_group.to_list())  # (A, C, C), rows are true classes
    right, chosen = counts.diagonal(axis1=1, axis2=2), counts.sum(axis=1)
    true, number = counts.sum(axis=2), counts.sum(axis=(1, 2))[:, None]
    accuracy = right.sum(axis=1, keepdims=True) / number
    selected, recall = chosen / number, _ratio(right, true)
    false = _ratio(chosen - right, number - true)
    metrics = {
        "accuracy_gap": _gap(accuracy),
        "worst_group_accuracy": float(accuracy.min()),
        "demographic_parity_difference": _gap(selected),
        "equalized_odds_difference": max(_gap(recall), _gap(false)),
    }
    rows = tuple(
        f"{group_names[a]} ({int(n):,})"
        for a, n in zip(frame.by_group.index, number[:, 0], strict=True)
    )
    grids = (
        Grid(
            f"{split}: accuracy and recall by group",
            rows,
            ("all classes", *class_names),
            _values(np.hstack([accuracy, recall])),
        ),
        Grid(f"{split}: predicted classes by group", rows, tuple(class_names), _values(selected)),
    )
    return {f"{split}/{name}": value for name, value in metrics.items()}, grids


def _ratio(part: Labels, whole: Labels) -> Rates:
    """Divides; NaN where there is nothing to divide by."""
    ratio: Rates = np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)
    return ratio


def _gap(rates: Rates) -> float:
    """Returns the largest difference between two groups in a column of ``(A, C)``."""
    known = ~np.isnan(rates)
    largest = np.max(rates, axis=0, initial=-np.inf, where=known)
    smallest = np.min(rates, axis=0, initial=np.inf, where=known)
    return float(max((largest - smallest).max(), 0.0))  # minus infinity where no group has a rate


def _values(rates: Rates) -> tuple[tuple[float | None, ...], ...]:
    return tuple(tuple(None if np.isnan(v) else float(v) for v in row) for row in rates)
