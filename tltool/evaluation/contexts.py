"""Continual learning: accuracy on every context after every context."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from tltool.errors import UserError
from tltool.evaluation.base import Evaluation, Grid, Predictions, Scores, Subject
from tltool.evaluation.domains import evaluate

MATRIX = "accuracy on each context (columns) after learning up to a context (rows)"
AVERAGE = "average accuracy on the contexts learned so far"


class Contexts(Evaluation):
    """The matrix ``R`` (T, T): accuracy ``R[i, j]`` on context j's test after learning context i.

    ``ACC = mean_j R[T, j]``, ``BWT = mean_{j<T} R[T, j] - R[j, j]`` (below zero is forgetting),
    ``FWT = mean_{j>1} R[j-1, j] - b_j``, b_j being the accuracy of the untrained network. Answers
    are chosen among the classes that are possible in the context. BWT, FWT and the matrix are for
    stages that learn a context each; what learns all together has only ACC.

    References:
        [0] Lopez-Paz & Ranzato, Gradient episodic memory for continual learning, NeurIPS 2017,
            equations 2 to 4.

    Args:
        subject: What is scored.

    Raises:
        UserError: The dataset is not in contexts, or one of them has no test examples.
    """

    selects: ClassVar[bool] = False

    def __init__(self, subject: Subject) -> None:
        super().__init__(subject)
        if subject.table.contexts is None:
            raise UserError(
                "evaluation=contexts: the dataset is in one piece: type dataset.contexts=5, or the "
                "number that you want"
            )
        self.contexts = subject.table.contexts
        rows = subject.table.labelled("source", "test")
        of = self.contexts.of.numpy()[rows]
        self.tests = [rows[of == j] for j in range(len(self.contexts))]
        for name, own in zip(self.contexts.names, self.tests, strict=True):
            if len(own) == 0:
                raise UserError(
                    f"evaluation=contexts: context {name} has no test examples: type "
                    "dataset.test_fraction=0.2 dataset.split_by=example"
                )
        self.untrained: list[float] = []
        self.learned: dict[int, list[float]] = {}  # R's rows by the number of the context

    def before_training(self) -> None:
        """Scores the untrained network."""
        self.untrained = _accuracies(self._predictions())

    def after_stage(self, stage: int) -> None:
        """Adds a row to the matrix, unless all contexts are learned together."""
        context = self.subject.strategy.stages()[stage].options.get("context")
        if context is not None:
            self.learned[context] = _accuracies(self._predictions())

    def _predictions(self) -> list[Predictions]:
        """Returns what is predicted on the test examples of each context."""
        with self.subject.scoring():
            return [self._predict(j) for j in range(len(self.contexts))]

    def _predict(self, context: int) -> Predictions:
        subject, possible = self.subject, self.contexts.classes[context]

        def logits(x: Any) -> Tensor:
            all_: Tensor = subject.strategy.predict(subject.net, x).float()
            return all_.masked_fill(~possible.to(all_.device), -float("inf"))

        return evaluate(logits, subject.batches(self.tests[context]), subject.spec.num_classes)

    def final(self) -> Scores:
        """Returns ACC as ``source_test/accuracy``, BWT, FWT and the matrix."""
        found = self._predictions()
        metrics = {"source_test/accuracy": float(np.mean(_accuracies(found)))}
        grids: tuple[Grid, ...] = ()
        number = len(self.contexts)
        if len(self.learned) == number:
            matrix = np.array([self.learned[i] for i in range(number)])
            metrics |= transfer(matrix, self.untrained)
            names = self.contexts.names
            average = tuple(float(row[: i + 1].mean()) for i, row in enumerate(matrix))
            grids = (
                Grid(MATRIX, names, names, tuple(map(tuple, matrix.tolist())), heat=True),
                Grid(AVERAGE, ("accuracy",), names, (average,)),
            )
        # Each context weighs the same in ACC, whatever the number of its examples.
        total = sum(map(len, self.tests))
        units = np.concatenate([p.correct * (total / number / len(p.labels)) for p in found])
        together = {"source_test": _joined(found)}
        return Scores(metrics, {"source_test/accuracy": units}, together, grids)

    def state(self) -> dict[str, Any]:
        """Returns the rows so far."""
        return {"untrained": self.untrained, "learned": self.learned}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Takes up rows of before an interruption."""
        self.untrained, self.learned = list(state["untrained"]), dict(state["learned"])


def transfer(matrix: NDArray[np.float64], untrained: Sequence[float]) -> dict[str, float]:
    """Returns ``backward_transfer`` and ``forward_transfer``, both in [-1, 1].

    Args:
        matrix: R, (T, T), T at least 2.
        untrained: b, (T,).
    """
    backward = matrix[-1, :-1] - np.diag(matrix)[:-1]
    forward = np.diag(matrix, 1) - np.array(untrained[1:])
    return {"backward_transfer": float(backward.mean()), "forward_transfer": float(forward.mean())}


def _accuracies(found: Sequence[Predictions]) -> list[float]:
    return [float(one.correct.mean()) for one in found]


def _joined(found: Sequence[Predictions]) -> Predictions:
    """Returns the predictions of all contexts as those of one split."""
    return Predictions(
        np.concatenate([one.labels for one in found]),
        np.concatenate([one.predicted for one in found]),
        np.concatenate([one.scores for one in found]),
        np.sum([one.confusion for one in found], axis=0),
    )
