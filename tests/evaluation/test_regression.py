"""Figures of labels that are numbers, by hand."""

import math
from contextlib import nullcontext

import numpy as np
import pytest
import torch

from tltool.data.table import Scale, Table
from tltool.errors import UserError
from tltool.evaluation.base import Estimates, Subject
from tltool.evaluation.regression import Regression, r2_units
from tltool.evaluation.verdict import verdict
from tltool.strategies.base import DataSpec, Strategy

SCALE = Scale(mean=10.0, std=2.0)


class TheInput(Strategy):
    """Predicts, on the standardised scale, what the input says."""

    def predict(self, net, x):
        return x


def subject(labels, predicted, split="test") -> Subject:
    """Labels and predictions in their own unit."""
    y, x = ((torch.tensor(v) - SCALE.mean) / SCALE.std for v in (labels, predicted))
    rows = {("target", split): np.arange(len(labels)), ("source", "train"): np.arange(1)}
    table = Table(x.unsqueeze(1), y, rows, (), scale=SCALE)
    spec = DataSpec(1, (), {}, regression=True)
    batches = lambda r: [table.take(part) for part in np.array_split(r, 2)]  # noqa: E731
    return Subject(None, TheInput(), table, spec, 0, batches, nullcontext)


def test_errors_are_in_the_unit_of_the_labels():
    # Errors 1, -1, 0, 4; the labels' mean is 12, their variance (16 + 0 + 0 + 16) / 4 = 8.
    scores = Regression(subject([8.0, 12.0, 12.0, 16.0], [9.0, 11.0, 12.0, 20.0])).final()
    assert scores.metrics == {
        "target_test/mae": pytest.approx(1.5),
        "target_test/rmse": pytest.approx(math.sqrt(18 / 4)),
        "target_test/r2": pytest.approx(1 - 4.5 / 8),
    }
    units = scores.units["target_test/r2"]
    assert units.tolist() == pytest.approx([1 - 1 / 8, 1 - 1 / 8, 1.0, 1 - 16 / 8])
    assert units.mean() == pytest.approx(scores.metrics["target_test/r2"])
    found = scores.estimates["target_test"]
    assert found.labels.tolist() == pytest.approx([8, 12, 12, 16])
    assert found.predicted.tolist() == pytest.approx([9, 11, 12, 20])
    assert scores.predictions == {}


def test_an_epoch_is_chosen_by_r2():
    evaluation = Regression(subject([8.0, 12.0, 12.0, 16.0], [12.0] * 4, "val"))
    assert evaluation.score("target", "val") == pytest.approx(0.0)  # what their mean gets
    with pytest.raises(UserError, match="target/test are all the same"):
        Regression(subject([8.0, 8.0], [8.0, 8.0])).score("target", "test")


def test_examples_without_a_label_and_labels_without_variance():
    scores = Regression(subject([math.nan, 8.3, 8.3], [1.0, 9.3, 8.3])).final()
    assert scores.metrics == {
        "target_test/mae": pytest.approx(0.5, abs=1e-5),
        "target_test/rmse": pytest.approx(math.sqrt(0.5), abs=1e-5),
    }
    assert scores.units == {}
    assert Regression(subject([math.nan], [1.0])).final().metrics == {}


def test_the_verdict_compares_runs_example_by_example():
    rng = np.random.default_rng(0)
    labels, noise = rng.normal(size=400), rng.normal(size=400)
    good, bad = (r2_units(Estimates(labels, labels + s * noise)) for s in (0.1, 0.5))
    found = verdict("source_only", "target_test/r2", good, bad)
    assert found["verdict"] == "positive"
    assert found["gain"] == pytest.approx(0.24 * (noise**2).mean() / labels.var())
    low, high = found["interval"]
    assert low < found["gain"] < high
