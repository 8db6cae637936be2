"""What is scored at an epoch's end, by the example of a network whose logits are its inputs."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tltool.errors import RunError, UserError
from tltool.evaluation.domains import Domains
from tltool.run.build import _can_be_scored
from tltool.run.subject import subject_of
from tltool.run.validation import Validation, best_epochs, signs
from tltool.strategies.base import Losses, Stage, Strategy


class Column(Strategy):
    """Predicts from one column of the input; in the toy table the first tells the label."""

    feed = "pair"

    def __init__(self, shift=0.0) -> None:
        super().__init__()
        self.shift = shift

    def logits(self, net, features):
        return torch.stack([torch.zeros(len(features)), features[:, 0] - self.shift], dim=1)

    def features(self, net, x):
        return x

    def loss(self, net, batch, progress):
        return Losses({"nothing": net(batch["source"]["x"]).sum() * 0.0})


@pytest.fixture
def validation(toy_parts):
    def make(strategy, **config):
        parts = toy_parts(strategy, selection="last", **{"validator": None, **config})
        return Validation(parts, Domains(subject_of(parts)))

    return make


def test_nothing_is_looked_at_unless_asked_for(validation):
    assert validation(Column(), collapse="off").epoch(Stage(), 1.0) == ({}, None)


def test_all_of_them_are_scored_and_the_oracle_has_a_column_of_its_own(validation):
    row, problem = validation(Column(1.5), validator="all", collapse="warn").epoch(Stage(), 1.0)
    assert problem is None
    assert set(row) == {
        *(f"validator/{name}" for name in ("entropy", "information_maximisation", "bnm", "snd")),
        *(f"validator/{name}" for name in ("dev", "importance_weighted", "reverse_validation")),
        *("source_val/accuracy", "target_test/accuracy", "target_train/predicted_classes"),
    }
    assert all(np.isfinite(list(row.values())))


def test_the_target_s_labels_are_read_by_the_oracle_alone(validation):
    names = ["entropy", "dev", "reverse_validation", "source_val"]
    ours = validation(Column(1.5), validator=names)
    before, _ = ours.epoch(Stage(), 1.0)
    target = [i for (domain, _), rows in ours.parts.table.rows.items() if domain == "target"
              for i in rows]  # fmt: skip
    ours.parts.table.y[target] = 1 - ours.parts.table.y[target]
    assert ours.epoch(Stage(), 1.0)[0] == before


def test_a_collapse_is_told_after_a_while_and_named(validation):
    ours = validation(Column(shift=100.0), collapse="warn")  # all are even
    assert ours.epoch(Stage(), 0.1)[1] is None
    row, problem = ours.epoch(Stage(), 0.5)
    assert row == {"target_train/predicted_classes": pytest.approx(1.0)}
    assert problem and problem.startswith("collapse: the target is put into few of the 2 classes")
    assert "even 100 %" in problem


def test_a_collapse_can_end_the_run(validation):
    with pytest.raises(RunError, match="collapse: "):
        validation(Column(shift=100.0), collapse="stop").epoch(Stage(), 0.5)


def test_the_guard_does_not_look_where_nothing_is_adapted(validation):
    ours = validation(Column(shift=100.0), collapse="stop")
    assert ours.epoch(Stage(feed="plain"), 1.0) == ({}, None)


def test_a_rule_without_examples_to_score_on_is_refused(toy_parts):
    table = toy_parts(Column()).table
    rows = {key: some for key, some in table.rows.items() if key[0] == "source"}
    for config, line in (
        ({"selection": "snd", "validator": None}, "selection=snd scores on the target, and there"),
        ({"selection": "last", "validator": "bnm"}, "validator=bnm scores on the target"),
        ({"selection": "oracle", "validator": None}, "selection=oracle scores on labelled target"),
    ):
        with pytest.raises(UserError, match=line):
            _can_be_scored(replace(table, rows=rows), config)


def test_the_best_epoch_of_each_rule_with_what_it_costs():
    history = [
        {"epoch": 1, "train/loss": 3.0},
        {"epoch": 1, "validator/snd": 0.2, "target_test/accuracy": 0.5},
        {"epoch": 2, "validator/snd": 0.4, "target_test/accuracy": 0.4},
        {"epoch": 3, "validator/snd": 0.4, "target_test/accuracy": 0.7},
    ]
    found = best_epochs(history, {"selection": "last", "validator": ["snd", "oracle", "bnm"]})
    assert found == {
        "snd": {"epoch": 2, "score": 0.4, "target_accuracy": 0.4},
        "oracle": {"epoch": 3, "score": 0.7, "target_accuracy": 0.7},
    }


def test_signs_are_the_means_of_the_first_and_the_last_rows():
    history = [{"train/domain_accuracy": 0.01 * i} for i in range(40)]
    assert signs(history) == {"domain_accuracy": [pytest.approx(0.045), pytest.approx(0.345)]}
    assert signs([{"train/loss": 1.0}]) == {}
