"""Accuracy on each domain's splits, and of each group and source where the data name several.

Where the target has classes that the source lacks, those are one more class, ``unknown``.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics.functional.classification import multiclass_confusion_matrix

from tltool.config.instantiate import missing_packages
from tltool.data.table import DOMAIN, GROUP
from tltool.errors import UserError
from tltool.evaluation.base import Evaluation, Grid, Predictions, Scores, Subject
from tltool.evaluation.collapse import effective_classes
from tltool.evaluation.groups import group_scores
from tltool.evaluation.logistic import a_distance

Predict = Callable[[Any], Tensor]
# What a run is about: the target's test split where there is one.
FIRST = ("target_test", "source_test")
MOST = 500  # examples of each domain that a distance is measured on
FEWEST = 20  # below that it means nothing
UNKNOWN = "unknown"  # the class of what is of no class of the source


class Domains(Evaluation):
    """Predicts every labelled split that was not trained on.

    A strategy that rejects predicts C + 1 classes, and so do all examples have one of C + 1 where
    the target has classes that the source lacks. Those are right only if they are rejected: a
    strategy that does not reject gets all of them wrong.
    """

    selects: ClassVar[bool] = True

    def __init__(self, subject: Subject) -> None:
        super().__init__(subject)
        self._distance: float | None = None
        self.group = subject.table.columns.get(GROUP)
        if self.group and (problem := missing_packages("a dataset with groups", ["fairlearn"])):
            raise UserError(problem)
        unknown = (subject.table.y == subject.spec.num_classes).any().item()
        if unknown or subject.strategy.rejects:
            self.class_names = (*subject.spec.class_names, UNKNOWN)
        else:
            self.class_names = subject.spec.class_names

    def score(self, domain: str, split: str) -> float:
        """Returns the accuracy on a split, which has labels."""
        predicted = self.predictions(domain, split)
        assert predicted is not None  # `build` refuses a rule whose split has no labels
        return predicted.metrics()["accuracy"]

    def predictions(self, domain: str, split: str) -> Predictions | None:
        """Returns what is predicted on the labelled examples of a split; None without any."""
        subject = self.subject
        rows = subject.table.labelled(domain, split)
        if len(rows) == 0:
            return None
        with subject.scoring():
            found = evaluate(
                lambda x: subject.strategy.predict(subject.net, x).float(),
                subject.batches(rows),
                len(self.class_names),
            )
        return replace(found, class_names=self.class_names)

    def before_training(self) -> None:
        """Measures how far apart the domains are to start with."""
        self._distance = self.distance()

    def distance(self) -> float | None:
        """Returns the proxy A-distance of both domains' training features, None for too few."""
        rows = [
            np.random.default_rng(0).permutation(self.subject.table.rows[domain, "train"])[:MOST]
            for domain in ("source", "target")
            if (domain, "train") in self.subject.table.rows
        ]
        if len(rows) < 2 or min(map(len, rows)) < FEWEST:
            return None
        source, target = (self.subject.outputs(some)[0].numpy() for some in rows)
        return a_distance(source, target)

    def state(self) -> dict[str, Any]:
        """Returns the distance before training."""
        return {"distance": self._distance}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Takes it up."""
        self._distance = state["distance"]

    def final(self) -> Scores:
        """Returns ``<split>/accuracy``, ``<split>/class_accuracy``, what groups get, and distances.

        ``a_distance/before`` and ``a_distance/after`` training: see `logistic.a_distance`;
        ``target_test/predicted_classes``: see `collapse.effective_classes`.

        Of several sources also ``<split>/accuracy/<source>``, and the smallest of them as
        ``<split>/worst_source_accuracy``. Where a split has unknown examples, also what `open_set`
        does.
        """
        found = {}
        for domain, split in sorted(self.subject.table.rows):
            if split == "train":
                continue
            if (predicted := self.predictions(domain, split)) is not None:
                found[f"{domain}_{split}"] = predicted
        metrics = {
            f"{split}/{name}": value
            for split, predicted in found.items()
            for name, value in (predicted.metrics() | self._open_set(predicted)).items()
        }
        grids: tuple[Grid, ...] = ()
        for split, predicted in found.items():
            of_groups, more = self._groups(split, predicted)
            metrics, grids = metrics | of_groups, grids + more
            of_sources, more = self._sources(split, predicted)
            metrics, grids = metrics | of_sources, grids + more
        if "target_test" in found:
            counts = found["target_test"].confusion.sum(axis=0)
            metrics["target_test/predicted_classes"] = effective_classes(counts)
        if (distance := self.distance()) is not None:
            if self._distance is not None:  # a run that is scored again does not measure it
                metrics["a_distance/before"] = self._distance
            metrics["a_distance/after"] = distance
        first = [split for split in FIRST if split in found]
        units = {f"{split}/accuracy": found[split].correct.astype(float) for split in first}
        return Scores(metrics, units, found, grids)

    def _sources(
        self, split: str, predicted: Predictions
    ) -> tuple[dict[str, float], tuple[Grid, ...]]:
        table = self.subject.table
        domain, _, part = split.partition("_")
        rows = table.labelled(domain, part)
        parts = table.by_source(rows) if domain == "source" and len(table.sources) > 1 else {}
        if not parts:
            return {}, ()
        of = table.columns[DOMAIN].values.numpy()[rows]
        right = {
            name: predicted.correct[of == table.sources.index(name)].mean().item() for name in parts
        }
        grid = Grid(
            f"{split}: accuracy by source",
            tuple(f"{name} ({len(rows):,})" for name, rows in parts.items()),
            ("accuracy",),
            tuple((value,) for value in right.values()),
        )
        metrics = {f"{split}/accuracy/{name}": value for name, value in right.items()}
        return metrics | {f"{split}/worst_source_accuracy": min(right.values())}, (grid,)

    def _open_set(self, predicted: Predictions) -> dict[str, float]:
        opened = len(self.class_names) > self.subject.spec.num_classes
        return open_set(predicted.confusion) if opened else {}

    def _groups(
        self, split: str, predicted: Predictions
    ) -> tuple[dict[str, float], tuple[Grid, ...]]:
        if self.group is None:
            return {}, ()
        domain, _, part = split.partition("_")
        groups = self.group.values.numpy()[self.subject.table.labelled(domain, part)]
        labels, found = predicted.labels, predicted.predicted
        return group_scores(split, labels, found, groups, self.class_names, self.group.names)


@torch.inference_mode()
def evaluate(
    predict: Predict, batches: Iterable[tuple[Any, Tensor]], num_classes: int
) -> Predictions:
    """Predicts labelled batches; nothing leaves the device before the end.

    Args:
        predict: Maps inputs to logits ``(B, C)``, or fewer where the last class is never predicted.
        batches: Inputs and labels.
        num_classes: C.
    """
    labels, predicted, scores = [], [], []
    for x, y in batches:
        score, prediction = predict(x).softmax(dim=1).max(dim=1)
        labels.append(y)
        predicted.append(prediction)
        scores.append(score)
    y, prediction = torch.cat(labels), torch.cat(predicted)
    confusion = multiclass_confusion_matrix(prediction, y, num_classes)
    return Predictions(
        y.cpu().numpy(),
        prediction.cpu().numpy(),
        torch.cat(scores).cpu().numpy(),
        confusion.cpu().numpy(),
    )


def open_set(confusion: NDArray[np.int64]) -> dict[str, float]:
    """Returns how well known and unknown examples are told, nothing where there are none of either.

    - ``known_accuracy``, OS* of [0]: mean over the known classes of the part that is right;
    - ``unknown_accuracy``: part of the unknown examples that is rejected;
    - ``hos`` [1]: their harmonic mean ``2 a b / (a + b)``, 0 where both are.

    The mean over known classes and the unknown one, OS of [0], is ``class_accuracy``.

    Args:
        confusion: Counts ``(C + 1, C + 1)``; rows are true classes, the last one is unknown.

    References:
        [0] Saito et al., Open set domain adaptation by backpropagation, ECCV 2018.
        [1] Bucci et al., On the effectiveness of image rotation for open set domain adaptation,
            ECCV 2020.
    """
    count, right = confusion.sum(axis=1), confusion.diagonal()
    occurs = count[:-1] > 0
    if not occurs.any() or count[-1] == 0:
        return {}
    known = float((right[:-1][occurs] / count[:-1][occurs]).mean())
    unknown = float(right[-1] / count[-1])
    hos = 2 * known * unknown / (known + unknown) if known + unknown > 0 else 0.0
    return {"known_accuracy": known, "unknown_accuracy": unknown, "hos": hos}
