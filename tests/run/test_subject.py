from dataclasses import replace

import pytest
import torch

from tltool.errors import UserError
from tltool.evaluation.domains import Domains
from tltool.run.subject import evaluation_name, evaluation_of, subject_of
from tltool.strategies.base import Strategy


class ByTheFirstInput(Strategy):
    """Says odd where the first input is above 1.5."""

    def predict(self, net, x):
        return torch.stack([1.5 - x[:, 0], x[:, 0] - 1.5], dim=1)


@pytest.fixture
def parts(toy_parts):
    return toy_parts(ByTheFirstInput(), evaluation=None, selection="last")


def test_every_labelled_split_but_train_is_scored_and_the_target_comes_first(parts):
    scores = Domains(subject_of(parts)).final()
    assert list(scores.predictions) == ["source_test", "source_val", "target_test"]
    assert list(scores.units) == ["target_test/accuracy", "source_test/accuracy"]
    rows = parts.table.rows["target", "test"]
    assert scores.predictions["target_test"].labels.tolist() == (rows % 2).tolist()
    right = (parts.table.x[rows, 0] > 1.5).long() == parts.table.y[rows]
    assert scores.units["target_test/accuracy"].tolist() == right.tolist()
    assert scores.metrics["target_test/accuracy"] == pytest.approx(right.float().mean().item())
    assert len(scores.metrics) == 7 and "source_val/class_accuracy" in scores.metrics


def test_unlabelled_examples_are_left_out(parts):
    y = parts.table.y.clone()
    y[parts.table.rows["target", "test"]] = -1
    y[parts.table.rows["source", "test"][:3]] = -1
    table = replace(parts.table, y=y)
    parts.datamodule.table = table
    scores = Domains(subject_of(replace(parts, table=table))).final()
    assert list(scores.predictions) == ["source_test", "source_val"]
    assert list(scores.units) == ["source_test/accuracy"]
    assert len(scores.predictions["source_test"].labels) == 5


def test_a_score_for_choosing_is_the_accuracy_of_one_split(parts):
    evaluation = Domains(subject_of(parts))
    metrics = evaluation.final().metrics
    assert evaluation.score("source", "val") == metrics["source_val/accuracy"]


def test_scoring_leaves_no_gradient_and_puts_the_network_in_eval_mode(parts):
    parts.model.learner.train()
    with subject_of(parts).scoring():
        assert not parts.model.net.training
        assert not torch.is_grad_enabled()


def test_the_feed_brings_the_evaluation_unless_one_is_typed(parts):
    assert evaluation_name(parts) == "domains"
    assert isinstance(evaluation_of(parts), Domains)
    assert evaluation_name(replace(parts, config={"evaluation": "tasks"})) == "tasks"


def test_an_evaluation_that_cannot_choose_is_not_asked_to(parts, monkeypatch):
    config = {**parts.config, "selection": "source_val"}
    assert isinstance(evaluation_of(replace(parts, config=config)), Domains)
    monkeypatch.setattr(Domains, "selects", False)
    with pytest.raises(UserError, match="selection=source_val.*type selection=last"):
        evaluation_of(replace(parts, config=config))


def test_missing_packages_are_named_with_what_to_type(parts, monkeypatch):
    monkeypatch.setattr(Domains, "needs", ("no_such_package",))
    with pytest.raises(UserError, match="evaluation=domains needs no_such_package"):
        evaluation_of(parts)
