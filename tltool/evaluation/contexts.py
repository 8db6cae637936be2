"""Continual learning: accuracy on every context after every context."""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from tltool.evaluation.base import Evaluation, Grid, Scores


class Contexts(Evaluation):
    """The matrix ``R`` (T, T): accuracy ``R[i, j]`` on context j's test after learning context i.

    ``ACC = mean_j R[T, j]``, ``BWT = mean_{j<T} R[T, j] - R[j, j]`` (below zero is forgetting),
    ``FWT = mean_{j>1} R[j-1, j] - b_j``, b_j being the accuracy of the untrained network. Answers
    are chosen among the classes that are possible in the context.

    References:
        [0] Lopez-Paz & Ranzato, Gradient episodic memory for continual learning, NeurIPS 2017,
            equations 2 to 4.
    """

    selects: ClassVar[bool] = False

    def __init__(self, subject: Any) -> None:
        super().__init__(subject)
        contexts = subject.table.contexts
        assert contexts is not None  # the feed refuses a table without
        self.contexts = contexts
        self.matrix: list[list[float]] = []
        self.untrained = self._row()[0]

    def _row(self) -> tuple[list[float], list[NDArray[np.float64]]]:
        """Returns the accuracy on each context's test examples, and which are right."""
        rows = self.subject.table.labelled("source", "test")
        of = self.contexts.of.numpy()[rows]
        correct = [self._correct(rows[of == j], j) for j in range(len(self.contexts))]
        return [float(one.mean()) if len(one) else 0.0 for one in correct], correct

    def _correct(self, rows: NDArray[np.int64], context: int) -> NDArray[np.float64]:
        subject, right = self.subject, []
        with subject.scoring(), torch.inference_mode():
            for x, y in subject.batches(rows):
                logits = subject.strategy.predict(subject.net, x).float()
                possible = self.contexts.classes[context].to(logits.device)
                right.append(logits.masked_fill(~possible, -torch.inf).argmax(1) == y)
        return torch.cat(right).double().cpu().numpy() if right else np.empty(0)

    def after_stage(self, stage: int) -> None:
        """Adds a row to the matrix, unless all contexts are learned together."""
        self.matrix.append(self._row()[0])

    def final(self) -> Scores:
        """Returns ACC as ``source_test/accuracy``, BWT, FWT and the matrix."""
        last, correct = self._row()
        metrics = {"source_test/accuracy": float(np.mean(last))}
        grids: tuple[Grid, ...] = ()
        number = len(self.contexts)
        if len(self.matrix) == number:
            matrix = np.array(self.matrix)
            before, untrained = np.diag(matrix, 1), np.array(self.untrained[1:])
            metrics["backward_transfer"] = float((matrix[-1, :-1] - np.diag(matrix)[:-1]).mean())
            metrics["forward_transfer"] = float((before - untrained).mean())
            names = tuple(f"context {j + 1}" for j in range(number))
            title = "accuracy on each context (columns) after learning up to a context (rows)"
            values = tuple(tuple(row) for row in self.matrix)
            grids = (Grid(title, names, names, values, heat=True),)
        units = np.concatenate([one / max(len(one), 1) for one in correct])
        return Scores(metrics, {"source_test/accuracy": units * len(units) / number}, {}, grids)

    def state(self) -> dict[str, Any]:
        """Returns the rows so far."""
        return {"matrix": self.matrix, "untrained": self.untrained}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Takes up rows of before an interruption."""
        self.matrix, self.untrained = list(state["matrix"]), list(state["untrained"])
