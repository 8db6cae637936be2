"""Targets with classes that the source lacks: who rejects them, and what that scores."""

from contextlib import nullcontext

import numpy as np
import pytest
import torch

from tltool.data.table import Table
from tltool.evaluation.base import Subject
from tltool.evaluation.domains import Domains, open_set
from tltool.strategies.base import DataSpec, Strategy

# Two classes, 2 is unknown. The input is the class that is predicted by who rejects.
LABELS = [0, 0, 0, 0, 1, 2, 2, 2, 2]
INPUTS = [0, 0, 0, 1, 2, 2, 2, 2, 1]


class Rejects(Strategy):
    rejects = True

    def predict(self, net, x):
        return torch.nn.functional.one_hot(x, 3).float()


class NeverRejects(Strategy):
    def predict(self, net, x):
        return torch.nn.functional.one_hot(x.clamp(max=1), 2).float()


def subject(strategy: Strategy, labels=LABELS) -> Subject:
    """Two source test examples, both right; the others are the target's test."""
    x, y = torch.tensor([0, 1, *INPUTS]), torch.tensor([0, 1, *labels])
    rows = {("source", "test"): np.arange(2), ("target", "test"): np.arange(2, 11)}
    table = Table(x, y, rows, ("cat", "dog"))
    spec = DataSpec(2, table.class_names, {})
    return Subject(None, strategy, table, spec, 0, lambda r: [table.take(r)], nullcontext)


def test_who_rejects_is_right_on_what_it_rejects():
    scores = Domains(subject(Rejects())).final()
    # Cat: 3 of 4. Dog: 0 of 1, it is rejected. Unknown: 3 of 4.
    assert scores.metrics["target_test/accuracy"] == pytest.approx(6 / 9)
    assert scores.metrics["target_test/class_accuracy"] == pytest.approx((0.75 + 0 + 0.75) / 3)
    assert scores.metrics["target_test/known_accuracy"] == pytest.approx(0.375)
    assert scores.metrics["target_test/unknown_accuracy"] == pytest.approx(0.75)
    assert scores.metrics["target_test/hos"] == pytest.approx(2 * 0.375 * 0.75 / 1.125)
    assert scores.units["target_test/accuracy"].sum() == 6
    found = scores.predictions["target_test"]
    assert found.class_names == ("cat", "dog", "unknown")
    assert found.confusion.tolist() == [[3, 1, 0], [0, 0, 1], [0, 1, 3]]
    # The source has no unknown examples: nothing to be told apart there.
    assert scores.metrics["source_test/accuracy"] == 1.0
    assert "source_test/hos" not in scores.metrics


def test_who_never_rejects_gets_unknown_examples_wrong():
    scores = Domains(subject(NeverRejects())).final()
    assert scores.metrics["target_test/accuracy"] == pytest.approx(4 / 9)  # 3 cats and the dog
    assert scores.metrics["target_test/known_accuracy"] == pytest.approx((0.75 + 1) / 2)
    assert scores.metrics["target_test/unknown_accuracy"] == 0.0
    assert scores.metrics["target_test/hos"] == 0.0


def test_who_rejects_is_scored_on_closed_data_too():
    closed = [0, 0, 0, 0, 1, 0, 1, -1, -1]
    scores = Domains(subject(Rejects(), closed)).final()
    # Rejected, and so wrong: the dog and two of the next; the last two have no label.
    assert scores.metrics["target_test/accuracy"] == pytest.approx(3 / 7)
    assert scores.predictions["target_test"].confusion.shape == (3, 3)
    assert not any("known" in name or "hos" in name for name in scores.metrics)
    plain = Domains(subject(NeverRejects(), closed)).final()
    assert plain.predictions["target_test"].class_names == ("cat", "dog")


def test_classes_that_do_not_occur_do_not_count():
    counts = np.array([[4, 0, 0], [0, 0, 0], [1, 0, 1]])
    assert open_set(counts) == {
        "known_accuracy": 1.0,
        "unknown_accuracy": 0.5,
        "hos": pytest.approx(2 / 3),
    }
    assert open_set(np.array([[4, 0], [0, 0]])) == {}  # nothing unknown
    assert open_set(np.array([[0, 0], [1, 3]])) == {}  # nothing known
