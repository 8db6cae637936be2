from contextlib import nullcontext

import numpy as np
import pytest
import torch

from tltool.data.table import Column, Table
from tltool.evaluation.base import Subject
from tltool.evaluation.tasks import Tasks, delta_m
from tltool.strategies.base import DataSpec, Strategy

# What is predicted of eight rows, the four of the test last, and their labels.
GUESSED = {"left": [0, 0, 0, 0, 0, 1, 2, 0], "right": [0, 0, 0, 0, 1, 1, 0, 0]}
LABELS = {"left": [9, 9, 9, 9, 0, 1, 2, 2], "right": [9, 9, 9, 9, 1, 0, -1, -1]}


class Guess(Strategy):
    """Answers by row number, which is the input."""

    def predict_tasks(self, net, x):
        rows = x.squeeze(1).long()
        return {
            task: torch.nn.functional.one_hot(torch.tensor(guessed)[rows], 3).float()
            for task, guessed in GUESSED.items()
        }


def subject(strategy):
    x, y = torch.arange(8.0).unsqueeze(1), torch.tensor(LABELS["left"])
    names = {"left": ("a", "b", "c"), "right": ("no", "yes", "maybe")}
    rows = {("source", "train"): np.arange(4), ("source", "test"): np.arange(4, 8)}
    columns = {f"task:{t}": Column(torch.tensor(v), names[t]) for t, v in LABELS.items()}
    table = Table(x, y, rows, names["left"], columns)

    def batches(rows):
        for start in range(0, len(rows), 3):
            yield table.take(rows[start : start + 3])

    return Subject(None, strategy, table, DataSpec(3, names["left"], {}), 0, batches, nullcontext)


def test_accuracies_by_hand_and_their_mean_over_tasks():
    scores = Tasks(subject(Guess())).final()
    # left: 3 of 4; right: 1 of the 2 that are known.
    assert scores.metrics == {
        "source_test/left/accuracy": 0.75,
        "source_test/right/accuracy": 0.5,
        "source_test/accuracy": 0.625,
    }
    assert list(scores.units) == ["source_test/accuracy"]
    # Rows: left right in three; right known in two of four rows, so that each counts twice.
    assert scores.units["source_test/accuracy"].tolist() == [1.5, 0.5, 0.5, 0.0]
    assert scores.units["source_test/accuracy"].mean() == 0.625
    right = scores.predictions["source_test/right"]
    assert right.labels.tolist() == [1, 0] and right.predicted.tolist() == [1, 1]
    assert right.class_names == ("no", "yes", "maybe") and right.confusion.shape == (3, 3)


def test_an_epoch_is_chosen_by_the_mean_over_tasks():
    assert Tasks(subject(Guess())).score("source", "test") == 0.625


def test_a_strategy_of_one_task_is_scored_on_the_label():
    class Zero(Strategy):
        def predict(self, net, x):
            return torch.nn.functional.one_hot(torch.zeros(len(x), dtype=torch.int64), 3).float()

    metrics = Tasks(subject(Zero())).final().metrics
    assert metrics == {"source_test/label/accuracy": 0.25, "source_test/accuracy": 0.25}


def test_delta_m_by_hand():
    # (0.9 - 0.8) / 0.8 = 0.125, (0.45 - 0.5) / 0.5 = -0.1: mean 0.0125
    assert delta_m([0.9, 0.45], [0.8, 0.5]) == pytest.approx(0.0125)
    ours = {
        "source_test/l/accuracy": 0.9,
        "source_test/r/accuracy": 0.45,
        "source_test/accuracy": 1,
    }
    control = {"source_test/l/accuracy": 0.8, "source_test/r/accuracy": 0.5}
    assert Tasks.against(ours, control) == {"delta_m": pytest.approx(0.0125)}
    assert Tasks.against(ours, {"source_test/accuracy": 0.7}) == {}
