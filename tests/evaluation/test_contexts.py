"""The matrix of a learner whose every answer is known."""

from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from tltool.data.table import Contexts as Parting
from tltool.data.table import Table
from tltool.errors import UserError
from tltool.evaluation.base import Subject
from tltool.evaluation.contexts import Contexts, transfer
from tltool.strategies.base import DataSpec, Stage, Strategy

# Two contexts: classes 0 and 1, six examples; classes 2 and 3, two examples.
Y = torch.tensor([0, 0, 0, 1, 1, 1, 2, 3])
OF = torch.tensor([0, 0, 0, 0, 0, 0, 1, 1])
NAMES = ("1: a, b", "2: c, d")
TASK = torch.tensor([[True, True, False, False], [False, False, True, True]])


class Says(Strategy):
    """Gives one class the largest logit for all examples, class 2 the second largest."""

    def __init__(self, stages: list[Stage]) -> None:
        super().__init__()
        self._stages, self.answer = stages, 0

    def stages(self):
        return self._stages

    def predict(self, net, x):
        logits = torch.tensor([0.0, 0.0, 1.0, 0.0]).repeat(len(x), 1)
        logits[:, self.answer] = 2.0
        return logits


def subject(classes=TASK, stages=(0, 1), **change) -> Subject:
    parting = Parting(OF, classes, "task", NAMES)
    rows = {("source", "test"): np.arange(8)}
    table = Table(torch.zeros(8, 1), Y, rows, tuple("abcd"), contexts=parting)
    fields = {
        "net": nn.Identity(),
        "strategy": Says([Stage(options={"context": i}) for i in stages]),
        "table": table,
        "spec": DataSpec(4, tuple("abcd"), {}),
        "seed": 0,
        "batches": lambda rows: [(table.take(some)) for some in np.array_split(rows, 2)],
        "scoring": lambda: torch.inference_mode(),
    }
    return Subject(**{**fields, **change})


def learn(evaluation: Contexts, answers) -> None:
    evaluation.before_training()
    for stage, answer in enumerate(answers):
        evaluation.subject.strategy.answer = answer
        evaluation.after_stage(stage)


def test_transfer_by_hand():
    matrix = np.array([[0.9, 0.3, 0.2], [0.6, 0.8, 0.4], [0.5, 0.7, 1.0]])
    found = transfer(matrix, [0.5, 0.1, 0.3])
    # (0.5 - 0.9 + 0.7 - 0.8) / 2 and (0.3 - 0.1 + 0.4 - 0.3) / 2
    assert found["backward_transfer"] == pytest.approx(-0.25)
    assert found["forward_transfer"] == pytest.approx(0.15)


def test_answers_are_chosen_among_the_classes_that_are_possible():
    evaluation = Contexts(subject())
    evaluation.subject.strategy.answer = 1
    evaluation.before_training()
    # Class 1 for the first context; class 2, the largest possible, for the second.
    assert evaluation.untrained == [0.5, 0.5]
    everything = Contexts(subject(classes=torch.ones(2, 4, dtype=torch.bool)))
    everything.subject.strategy.answer = 1
    everything.before_training()
    assert everything.untrained == [0.5, 0.0]


def test_matrix_and_metrics_by_hand():
    evaluation = Contexts(subject(classes=torch.ones(2, 4, dtype=torch.bool)))
    learn(evaluation, [1, 3])  # untrained it says 0
    scores = evaluation.final()
    matrix, average = scores.grids
    assert matrix.values == ((0.5, 0.0), (0.0, 0.5)) and matrix.heat
    assert matrix.rows == matrix.columns == NAMES
    assert average.values == ((0.5, 0.25),) and average.columns == NAMES
    assert scores.metrics == {
        "source_test/accuracy": 0.25,
        "backward_transfer": -0.5,
        "forward_transfer": 0.0,  # 0 before context 2, 0 untrained
    }


def test_contexts_weigh_the_same_and_the_metric_is_the_mean_of_its_units():
    evaluation = Contexts(subject())
    learn(evaluation, [0, 3])
    scores = evaluation.final()  # all of context 1 says 2 among {0, 1}: a tie, class 0
    [units] = scores.units.values()
    assert units.shape == (8,)
    assert units.mean() == pytest.approx(scores.metrics["source_test/accuracy"]) == 0.5
    # An example of six weighs 8 / 2 / 6, one of two 8 / 2 / 2.
    assert units.tolist() == pytest.approx([2 / 3] * 3 + [0.0] * 3 + [0.0, 2.0])


def test_predictions_hold_every_test_example_once():
    evaluation = Contexts(subject())
    learn(evaluation, [0, 3])
    [found] = evaluation.final().predictions.values()
    assert found.labels.tolist() == Y.tolist()
    assert found.predicted.tolist() == [0] * 6 + [3] * 2
    assert found.confusion.sum() == 8 and found.confusion[2].tolist() == [0, 0, 0, 1]


def test_what_learns_all_together_has_no_matrix():
    evaluation = Contexts(subject(stages=(None,)))
    learn(evaluation, [1])
    scores = evaluation.final()
    assert set(scores.metrics) == {"source_test/accuracy"} and scores.grids == ()


def test_stages_of_other_methods_are_no_rows():
    """As many stages as contexts, which do not learn a context each."""
    plain = subject(strategy=Says([Stage("probe"), Stage("finetune")]))
    evaluation = Contexts(plain)
    learn(evaluation, [1, 2])
    assert evaluation.final().grids == ()


def test_a_context_in_two_stages_has_the_row_of_the_last():
    evaluation = Contexts(subject(stages=(0, 0, 1)))
    learn(evaluation, [2, 1, 3])
    assert evaluation.final().grids[0].values == ((0.5, 0.5), (0.5, 0.5))
    assert evaluation.learned.keys() == {0, 1}


def test_an_interruption_between_stages_changes_nothing(tmp_path):
    whole = Contexts(subject())
    learn(whole, [1, 3])
    halves = Contexts(subject())
    learn(halves, [1])
    torch.save(halves.state(), tmp_path / "state")
    resumed = Contexts(subject())
    resumed.load_state(torch.load(tmp_path / "state", weights_only=True))
    resumed.subject.strategy.answer = 3
    resumed.after_stage(1)
    assert resumed.final().metrics == whole.final().metrics
    assert resumed.final().grids == whole.final().grids


def test_data_in_one_piece_are_refused():
    one = subject()
    with pytest.raises(UserError, match="evaluation=contexts.*type dataset.contexts=5"):
        Contexts(replace(one, table=replace(one.table, contexts=None)))


def test_a_context_without_test_examples_is_refused():
    one = subject()
    table = replace(one.table, rows={("source", "test"): np.arange(6)})
    with pytest.raises(UserError, match="context 2: c, d has no test examples"):
        Contexts(replace(one, table=table, scoring=nullcontext))
