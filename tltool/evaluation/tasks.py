"""Accuracy of each of several tasks."""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torchmetrics.functional.classification import multiclass_confusion_matrix

from tltool.evaluation.base import Evaluation, Predictions, Scores, Subject
from tltool.evaluation.domains import FIRST


class Tasks(Evaluation):
    """Predicts the tasks of every split that was not trained on.

    A strategy that learns the label alone is scored on it, as on a task called ``label``. Examples
    whose label of a task is not known do not count for that task.
    """

    selects: ClassVar[bool] = True

    def __init__(self, subject: Subject) -> None:
        super().__init__(subject)
        table = subject.table
        self.labels = {"label": table.y} | {t: column.values for t, column in table.tasks.items()}
        self.names = {"label": table.class_names} | {t: c.names for t, c in table.tasks.items()}

    def score(self, domain: str, split: str) -> float:
        """Returns the mean of the tasks' accuracies on a split."""
        return float(self.predictions(self.subject.table.rows[domain, split])[1].mean())

    def predictions(
        self, rows: NDArray[np.int64]
    ) -> tuple[dict[str, Predictions], NDArray[np.float64]]:
        """Returns what is predicted of each task on some rows, and what each row scores.

        The mean of the scores is the mean of the tasks' accuracies. Where all labels are known, a
        row scores the part of its tasks that are right.
        """
        found: dict[str, Predictions] = {}
        units = np.zeros(len(rows))
        for task, probabilities in self._probabilities(rows).items():
            y = self.labels[task][torch.from_numpy(rows)]
            known = y >= 0
            if known.any():
                found[task] = _predictions(probabilities[known], y[known], self.names[task])
                units[known.numpy()] += found[task].correct * (len(rows) / int(known.sum()))
        return found, units / max(len(found), 1)

    def _probabilities(self, rows: NDArray[np.int64]) -> dict[str, torch.Tensor]:
        """Returns ``(N, C_t)`` of each task that the strategy predicts."""
        subject, found = self.subject, dict[str, list[torch.Tensor]]()
        with subject.scoring(), torch.inference_mode():
            for x, _ in subject.batches(rows):
                for task, logits in subject.strategy.predict_tasks(subject.net, x).items():
                    found.setdefault(task, []).append(logits.float().softmax(dim=1))
        return {task: torch.cat(parts).cpu() for task, parts in found.items()}

    def final(self) -> Scores:
        """Returns ``<split>/<task>/accuracy``, and ``<split>/accuracy``, their mean."""
        metrics: dict[str, float] = {}
        units: dict[str, NDArray[np.float64]] = {}
        predictions: dict[str, Predictions] = {}
        for (domain, part), rows in sorted(self.subject.table.rows.items()):
            if part == "train" or len(rows) == 0:
                continue
            split = f"{domain}_{part}"
            found, scored = self.predictions(rows)
            for task, predicted in found.items():
                predictions[f"{split}/{task}"] = predicted
                metrics[f"{split}/{task}/accuracy"] = predicted.metrics()["accuracy"]
            if found:
                metrics[f"{split}/accuracy"] = float(scored.mean())
                units[f"{split}/accuracy"] = scored
        first = [f"{split}/accuracy" for split in FIRST if f"{split}/accuracy" in units]
        return Scores(metrics, {name: units[name] for name in first}, predictions)

    @staticmethod
    def against(ours: Mapping[str, float], control: Mapping[str, float]) -> dict[str, float]:
        """Returns ``delta_m`` over the tasks of the first test split that both were scored on."""
        for split in FIRST:
            tasks = [
                name
                for name in ours
                if name.startswith(f"{split}/") and name.count("/") > 1 and control.get(name, 0) > 0
            ]
            if tasks:
                return {"delta_m": delta_m([ours[n] for n in tasks], [control[n] for n in tasks])}
        return {}


def delta_m(ours: list[float], control: list[float]) -> float:
    """Returns ``1/T sum_t (M_t - B_t) / B_t``, the mean relative gain over the control.

    Args:
        ours: M_t, a figure of each task, the higher the better.
        control: B_t, that of single-task networks, above 0.

    References:
        [0] Maninis, Radosavovic & Kokkinos, Attentive single-tasking of multiple tasks, CVPR 2019,
            equation 4.
    """
    return float(np.mean([(m - b) / b for m, b in zip(ours, control, strict=True)]))


def _predictions(
    probabilities: torch.Tensor, y: torch.Tensor, names: tuple[str, ...]
) -> Predictions:
    scores, predicted = probabilities.max(dim=1)
    confusion = multiclass_confusion_matrix(predicted, y, len(names))
    return Predictions(y.numpy(), predicted.numpy(), scores.numpy(), confusion.numpy(), names)
