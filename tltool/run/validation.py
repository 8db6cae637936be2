"""What is scored at the end of every epoch, without the target's labels unless asked for."""

from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tltool.data.feeds import feed_class
from tltool.data.table import Table
from tltool.errors import RunError
from tltool.evaluation.base import Evaluation
from tltool.evaluation.collapse import collapsed, effective_classes
from tltool.evaluation.validators import VALIDATORS, Outputs
from tltool.run.build import Parts
from tltool.run.selection import ORACLE, SPLITS, column, recorded
from tltool.strategies.base import Stage

MOST = 2000  # examples of each kind that validators look at
GUARDED = 500  # target examples that the guard looks at where no validator does
PREDICTED = "target_train/predicted_classes"
GRACE = 0.25  # part of a stage in which a network may still put all into one class


class Validation:
    """Scores a network at an epoch's end.

    Args:
        parts: Of the run.
        evaluation: Scores labelled splits.
    """

    def __init__(self, parts: Parts, evaluation: Evaluation) -> None:
        self.parts, self.evaluation = parts, evaluation
        config, table = parts.config, parts.table
        self.rules = tuple(
            rule
            for rule in recorded(config)
            # `all` is all that there is data for; a rule that was named has been checked.
            if _has_examples(table, rule)
        )
        numbers = parts.spec.regression
        self.guard: str = "off" if numbers else config["collapse"]
        self.rows = {
            name: _some(table.rows.get(key, np.empty(0, np.int64)))
            for name, key in (
                ("target", ("target", "train")),
                ("source", ("source", "train")),
                ("held_out", ("source", "val")),
            )
        }
        labels = table.y.numpy()[table.labelled("source", "train")]
        classes = np.empty(0, np.int64) if numbers else labels
        self.prior = np.bincount(classes, minlength=len(table.class_names))

    def epoch(self, stage: Stage, progress: float) -> tuple[dict[str, float], str | None]:
        """Scores the network as it is.

        Args:
            stage: The one that is trained.
            progress: Part of it that is done, in [0, 1].

        Returns:
            The scores, by column of metrics.csv; and what is wrong, if anything is.

        Raises:
            RunError: The network has collapsed, and ``collapse=stop``.
        """
        row: dict[str, float] = {}
        for rule in self.rules:
            if rule in SPLITS:
                row[self.column(rule)] = self.evaluation.score(*SPLITS[rule])
        unlabelled = [rule for rule in self.rules if rule not in SPLITS]
        watched = self.guard != "off" and self._adapts(stage)
        if not unlabelled and not watched:
            return row, None
        target = self.rows["target"][: None if unlabelled else GUARDED]
        features, logits = self.evaluation.subject.outputs(target)
        if unlabelled:
            outputs = self._with_source(features, logits)
            row |= {column(rule): VALIDATORS[rule](outputs) for rule in unlabelled}
        return row, self._collapse(logits, row, progress) if watched else None

    def column(self, rule: str) -> str:
        """Returns where the scores of a rule are."""
        return column(rule, self.evaluation.chooses_by)

    def _adapts(self, stage: Stage) -> bool:
        name = stage.feed or self.parts.model.strategy.feed
        return feed_class(name).adapts and len(self.rows["target"]) > 0

    def _with_source(self, features: Tensor, logits: Tensor) -> Outputs:
        subject, held_out = self.evaluation.subject, self.rows["held_out"]
        if len(held_out) == 0:
            return Outputs(features, logits, *(4 * [torch.empty(0)]))
        source, _ = subject.outputs(self.rows["source"])
        y = self.parts.table.y[torch.from_numpy(held_out)]
        return Outputs(features, logits, source, *subject.outputs(held_out), y)

    def _collapse(self, logits: Tensor, row: dict[str, float], progress: float) -> str | None:
        """Adds how many classes are predicted to the row; says so where they are too few."""
        classes = len(self.prior)
        predicted = np.bincount(logits.argmax(dim=1).numpy(), minlength=classes)
        row[PREDICTED] = effective_classes(predicted)
        if progress < GRACE or not collapsed(predicted[:classes], self.prior):
            return None
        shares = predicted / predicted.sum()
        most = np.argsort(-shares, kind="stable")[:2]
        names = [*self.parts.table.class_names, "none of them"]
        told = ", ".join(f"{names[i]} {100 * shares[i]:.0f} %" for i in most)
        text = (
            f"collapse: the target is put into few of the {classes} classes ({told}); if it does "
            "have the others, adaptation has failed: try a smaller strategy.trade_off, or another "
            "strategy (collapse=off does not look)"
        )
        if self.guard == "stop":
            raise RunError(text)
        return text


def best_epochs(
    history: Sequence[Mapping[str, float]], config: Mapping[str, Any], metric: str = "accuracy"
) -> dict[str, dict[str, float]]:
    """Returns, for each recorded rule, the ``epoch`` it is best at and its ``score`` there.

    Where the target's test accuracy was recorded too (``oracle``), ``target_accuracy`` is that of
    the epoch. Of equals the first epoch counts. ``metric`` is what the evaluation chooses by.
    """
    found: dict[str, dict[str, float]] = {}
    for rule in recorded(config):
        name = column(rule, metric)
        rows = [row for row in history if name in row]
        if not rows:
            continue
        best = max(rows, key=itemgetter(name))
        found[rule] = {"epoch": best["epoch"], "score": best[name]}
        if column(ORACLE) in best:
            found[rule]["target_accuracy"] = best[column(ORACLE)]
    return found


def signs(history: Sequence[Mapping[str, float]]) -> dict[str, list[float]]:
    """Returns first and last of what tells whether adaptation works, means of up to ten rows each.

    ``domain_accuracy``: of the discriminator. ``predicted_classes``: see `effective_classes`.
    """
    found = {}
    for name in ("train/domain_accuracy", PREDICTED):
        if values := [row[name] for row in history if name in row]:
            ends = values[: min(10, len(values) // 2 or 1)], values[-min(10, len(values)) :]
            found[name.rpartition("/")[2]] = [float(np.mean(end)) for end in ends]
    return found


def _has_examples(table: Table, rule: str) -> bool:
    """Whether there is what a rule scores on."""
    if rule in SPLITS:
        return len(table.labelled(*SPLITS[rule])) > 0
    return ("target", "train") in table.rows and not table.y.is_floating_point()


def _some(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Returns so many of the rows at most, the same ones every time, in random order."""
    return np.random.default_rng(0).permutation(rows)[:MOST]
