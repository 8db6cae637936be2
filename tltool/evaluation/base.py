"""An evaluation scores a network, whatever it was trained by; a feed says which one it is for."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tltool.backbones.base import Net
from tltool.data.table import Table
from tltool.strategies.base import DataSpec, Strategy

Batches = Callable[[NDArray[np.int64]], Iterator[tuple[Any, Tensor]]]


@dataclass(frozen=True)
class Subject:
    """A network and the examples that it can be scored on.

    Args:
        net: The network.
        strategy: That predicts with it.
        table: All examples.
        spec: What the strategy knows of them.
        seed: The run's.
        batches: Yields prepared inputs and labels of some rows, in their order, on the device.
        scoring: Within it the network is on its device, in eval mode and in the run's precision,
            and nothing is differentiated.
    """

    net: Net
    strategy: Strategy
    table: Table
    spec: DataSpec
    seed: int
    batches: Batches
    scoring: Callable[[], AbstractContextManager[None]]

    def outputs(self, rows: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Returns features ``(N, D)`` and logits ``(N, C)`` of some rows, float32, on the CPU."""
        features, logits = [torch.empty(0)], [torch.empty(0)]
        with self.scoring():
            for x, _ in self.batches(rows):
                found = self.strategy.features(self.net, x)
                features.append(found.float())
                logits.append(self.strategy.logits(self.net, found).float())
        return _joined(features), _joined(logits)


def _joined(parts: list[Tensor]) -> Tensor:
    return torch.cat(parts[1:]).cpu() if len(parts) > 1 else parts[0]


@dataclass(frozen=True)
class Predictions:
    """What was predicted on one split.

    Args:
        labels: True classes ``(N,)``.
        predicted: Predicted classes ``(N,)``.
        scores: Probability of the predicted class ``(N,)``, in [0, 1].
        confusion: Counts ``(C, C)``; rows are true classes.
        class_names: C names, where they may not be those of the label.
    """

    labels: NDArray[np.int64]
    predicted: NDArray[np.int64]
    scores: NDArray[np.float32]
    confusion: NDArray[np.int64]
    class_names: tuple[str, ...] | None = None

    @property
    def correct(self) -> NDArray[np.bool_]:
        """Which predictions are right ``(N,)``."""
        correct: NDArray[np.bool_] = self.labels == self.predicted
        return correct

    def metrics(self) -> dict[str, float]:
        """Returns ``accuracy`` and ``class_accuracy`` (mean over the classes that occur)."""
        count = self.confusion.sum(axis=1)
        recall = self.confusion.diagonal()[count > 0] / count[count > 0]
        return {"accuracy": float(self.correct.mean()), "class_accuracy": float(recall.mean())}


@dataclass(frozen=True)
class Estimates:
    """What was predicted on one split, where labels are numbers.

    Args:
        labels: True numbers ``(N,)``, in their unit.
        predicted: Predicted numbers ``(N,)``, in that unit.
    """

    labels: NDArray[np.float64]
    predicted: NDArray[np.float64]


@dataclass(frozen=True)
class Grid:
    """Figures in rows and columns, for results.json, the terminal and the page alike.

    Args:
        title: What it shows.
        rows: Names.
        columns: Names.
        values: Of each row, by column; fractions in [0, 1] where ``percent``, None where there is
            none.
        percent: Whether the values are fractions; else they are shown as they are.
        heat: Whether the page draws it as a picture, for a matrix whose rows and columns are alike.
    """

    title: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    values: tuple[tuple[float | None, ...], ...]
    percent: bool = True
    heat: bool = False


@dataclass(frozen=True)
class Scores:
    """What an evaluation found.

    Args:
        metrics: By name; fractions where the name says accuracy.
        units: Metric -> what each test example, or episode, scored ``(N,)``; the metric is their
            mean. Two runs on the same data are compared unit by unit. The first is what the run is
            about.
        predictions: By split.
        grids: Further figures.
        estimates: By split, where labels are numbers; there are no predictions then.
    """

    metrics: dict[str, float]
    units: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    predictions: dict[str, Predictions] = field(default_factory=dict)
    grids: tuple[Grid, ...] = ()
    estimates: dict[str, Estimates] = field(default_factory=dict)


class Evaluation:
    """Scores a subject, at the end and, where it wants to, after every stage.

    Attributes:
        selects: Whether `score` can choose between epochs.
        needs: Importable modules that it needs beside tltool's own.
        regression: It scores labels that are numbers, and no others.
        chooses_by: The metric that `score` returns.

    Args:
        subject: What is scored; it changes while it is trained.
    """

    selects: ClassVar[bool] = False
    needs: ClassVar[tuple[str, ...]] = ()
    regression: ClassVar[bool] = False
    chooses_by: ClassVar[str] = "accuracy"

    def __init__(self, subject: Subject) -> None:
        self.subject = subject

    def score(self, domain: str, split: str) -> float:
        """Returns one figure of a split, the higher the better, for choosing an epoch."""
        raise NotImplementedError(f"{type(self).__name__} does not choose")

    def before_training(self) -> None:
        """Runs once, before the first step."""

    def after_stage(self, stage: int) -> None:
        """Runs when a stage is over."""

    def final(self) -> Scores:
        """Returns all scores."""
        raise NotImplementedError

    def state(self) -> dict[str, Any]:
        """Returns what a checkpoint keeps of the stages so far: plain lists and numbers."""
        return {}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Takes up what `state` returned."""

    @staticmethod
    def against(ours: Mapping[str, float], control: Mapping[str, float]) -> dict[str, float]:
        """Returns further figures of a comparison from both runs' metrics, fractions by name."""
        return {}
