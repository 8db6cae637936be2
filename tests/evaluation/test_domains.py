import math
from contextlib import nullcontext

import numpy as np
import pytest
import torch

from tltool.data.table import Column, Table
from tltool.errors import UserError
from tltool.evaluation.base import Subject
from tltool.evaluation.domains import Domains, evaluate
from tltool.strategies.base import DataSpec, Strategy

# Four examples in two batches; logits are log-probabilities, so that scores are known.
PROBABILITIES = [[0.7, 0.2, 0.1], [0.5, 0.3, 0.2], [0.1, 0.8, 0.1], [0.25, 0.15, 0.6]]
LABELS = [0, 1, 1, 1]


def batches(size: int):
    x = torch.tensor(PROBABILITIES).log()
    y = torch.tensor(LABELS)
    return [(x[i : i + size], y[i : i + size]) for i in range(0, 4, size)]


@pytest.mark.parametrize("size", [1, 3, 4])
def test_what_is_predicted_does_not_depend_on_the_batch_size(size):
    found = evaluate(lambda x: x + 5.0, batches(size), num_classes=3)
    assert found.labels.tolist() == LABELS
    assert found.predicted.tolist() == [0, 0, 1, 2]
    assert found.scores.tolist() == pytest.approx([0.7, 0.5, 0.8, 0.6])
    assert found.confusion.tolist() == [[1, 0, 0], [1, 1, 1], [0, 0, 0]]  # rows are true classes
    assert found.correct.tolist() == [True, False, True, False]


def test_metrics_by_hand():
    metrics = evaluate(lambda x: x, batches(2), num_classes=3).metrics()
    # 2 of 4 right; recall 1/1 of class 0 and 1/3 of class 1; class 2 does not occur.
    assert metrics == {"accuracy": 0.5, "class_accuracy": pytest.approx((1 + 1 / 3) / 2)}


def test_no_gradients_are_kept():
    layer = torch.nn.Linear(3, 3)
    seen = []

    def predict(x):
        seen.append(layer(x))
        return seen[-1]

    evaluate(predict, batches(2), num_classes=3)
    assert len(seen) == 2 and not any(logits.requires_grad for logits in seen)


def test_types_are_those_that_are_promised():
    found = evaluate(lambda x: x, batches(2), num_classes=3)
    assert found.labels.dtype == found.predicted.dtype == found.confusion.dtype == np.int64
    assert found.scores.dtype == np.float32
    assert all(math.isfinite(value) for value in found.metrics().values())


class Says(Strategy):
    def predict(self, net, x):
        return net(x)


def grouped(groups) -> Subject:
    """Six examples whose input is the class that is predicted; the last four are the test."""
    x, y = torch.tensor([0, 1, 0, 1, 1, 1]), torch.tensor([0, 1, 0, 1, 0, -1])
    rows = {("source", "train"): np.arange(2), ("source", "test"): np.arange(2, 6)}
    columns = {} if groups is None else {"group": Column(torch.tensor(groups), ("a", "b"))}
    table = Table(x, y, rows, ("no", "yes"), columns)

    def net(x):
        return torch.nn.functional.one_hot(x, 2).float()

    def batches(rows):
        yield table.take(rows)

    class ByTheNet(Strategy):
        def predict(self, net, x):
            return net(x)

    spec = DataSpec(2, ("no", "yes"), {})
    return Subject(net, ByTheNet(), table, spec, 0, batches, nullcontext)


def test_groups_are_scored_where_the_data_name_them():
    plain = Domains(grouped(None)).final()
    assert plain.grids == () and not any("gap" in name for name in plain.metrics)
    scores = Domains(grouped([0, 0, 0, 1, 1, 1])).final()
    # Of the three with a label: group a has one, right; group b two, one of them right.
    assert scores.metrics["source_test/accuracy_gap"] == 0.5
    assert scores.grids[0].rows == ("a (1)", "b (2)")
    assert {**scores.metrics, **plain.metrics} == scores.metrics


def test_groups_without_fairlearn_say_what_to_install(monkeypatch):
    monkeypatch.setattr("tltool.config.instantiate._installed", lambda module: False)
    Domains(grouped(None))
    with pytest.raises(
        UserError, match=r"fairlearn: type pip install 'tltool\[fairness\]'"
    ) as error:
        Domains(grouped([0] * 6))
    assert len(error.value.problems) == 1
