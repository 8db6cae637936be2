import math
import signal

import pytest
import torch

from tltool.errors import RunError
from tltool.optim import SGD
from tltool.run.checkpoint import SELECTED, load_checkpoint
from tltool.run.signals import Interrupted
from tltool.strategies.adaptation.dann import DANN
from tltool.strategies.base import Losses, Stage, Strategy


class Scripted(Strategy):
    """Terms ``fixed`` (10) and ``moving``, and the metric ``accuracy``, as they are listed."""

    def __init__(self, moving, accuracy=None, stages=()) -> None:
        super().__init__()
        self.moving, self.accuracy = list(moving), accuracy or [0.0] * len(moving)
        self._stages, self.calls = stages or [Stage()], 0

    def stages(self):
        return self._stages

    def loss(self, net, batch, progress):
        zero = 0.0 * net(batch["x"]).sum()
        moving, accuracy = self.moving[self.calls], self.accuracy[self.calls]
        self.calls += 1
        return Losses(
            {"fixed": zero + 10.0, "moving": zero + moving},
            {"accuracy": torch.tensor(accuracy)},
        )


def test_a_row_is_the_mean_of_the_steps_since_the_last_one(toy_parts, toy_fit):
    strategy = Scripted([1, 2, 3, 5, 8, 13], accuracy=[0.0, 1.0, 0.5, 1.0, 0.25, 0.75])
    optimizer = SGD(lr=0.8, schedule="cosine")
    fitted = toy_fit(toy_parts(strategy, optimizer, steps=6, log_every=3))
    # Steps 1-3; step 4, where the epoch of 4 steps ends; steps 5-6.
    expected = [
        (3, 1, (1 + 2 + 3) / 3, (0.0 + 1.0 + 0.5) / 3, 2 / 6),
        (4, 1, 5.0, 1.0, 3 / 6),
        (6, 2, (8 + 13) / 2, (0.25 + 0.75) / 2, 5 / 6),
    ]
    rows = fitted.history.rows
    assert len(rows) == 3
    for row, (step, epoch, moving, accuracy, progress) in zip(rows, expected, strict=True):
        assert (row["step"], row["epoch"]) == (step, epoch)
        assert row["train/fixed"] == 10.0 and row["train/moving"] == pytest.approx(moving)
        assert row["train/loss"] == pytest.approx(10.0 + moving)
        assert row["train/accuracy"] == pytest.approx(accuracy)
        assert row["train/lr"] == pytest.approx(0.4 * (1 + math.cos(math.pi * progress)))


@pytest.mark.parametrize(("value", "said"), [(float("nan"), "nan"), (float("inf"), "inf")])
def test_a_term_that_is_not_finite_stops_the_run_and_is_named(toy_parts, toy_fit, value, said):
    strategy = Scripted([1, 1, 1, 1, value, value])
    with pytest.raises(RunError, match=f"the loss term 'moving' is {said} at step 5: ") as error:
        toy_fit(toy_parts(strategy, steps=6, log_every=3))
    assert "optimizer.lr" in str(error.value)
    assert [row["step"] for row in toy_fit.left.history.rows] == [3, 4]
    assert toy_fit.left.checkpoint.run_step == 0  # nothing of the broken run is kept


def test_steps_are_counted_over_stages(toy_parts, toy_fit):
    stages = (Stage("one"), Stage("two"))
    strategy = Scripted([1, 1, 1, 1, 1, float("nan"), 1, 1], stages=stages)
    with pytest.raises(RunError, match="at step 6: "):
        toy_fit(toy_parts(strategy, steps=8, log_every=100))
    rows = toy_fit.left.history.rows
    assert [(row["step"], row["epoch"]) for row in rows] == [(4, 1)]


def test_rows_and_epochs_go_on_in_the_second_stage(toy_parts, toy_fit):
    stages = (Stage("one", share=5), Stage("two", share=3))
    fitted = toy_fit(toy_parts(Scripted(range(8), stages=stages), steps=8, log_every=100))
    # The first stage ends within its second epoch.
    rows = fitted.history.rows
    assert [(row["step"], row["epoch"]) for row in rows] == [(4, 1), (5, 2), (8, 3)]
    assert (fitted.checkpoint.stage, fitted.checkpoint.run_step) == (2, 8)


class Scored(Scripted):
    """Predicts class 0 for all until the second epoch, then the labels of the toy table."""

    def predict(self, net, x):
        right = x[:, 0] > 1.5 if self.calls > 4 else x[:, 0] > 1e9
        return torch.stack([~right, right], dim=1).float()


def test_every_epoch_is_scored_and_the_best_is_kept(toy_parts, toy_fit):
    parts = toy_parts(Scored([0] * 12), steps=12)
    fitted = toy_fit(parts, rule="source_val")
    scores = [row for row in fitted.history.rows if "source_val/accuracy" in row]
    assert [row["epoch"] for row in scores] == [1, 2, 3]
    values = [row["source_val/accuracy"] for row in scores]
    assert values[0] == 0.5 < values[1] == values[2]  # two of four have label 0
    assert (fitted.selection.epoch, fitted.selection.score) == (2, values[1])
    assert (fitted.folder.path / SELECTED).is_file()


def test_without_a_rule_to_score_no_split_is_looked_at(toy_parts, toy_fit):
    fitted = toy_fit(toy_parts(Scored([0] * 8), steps=8))
    assert {key for row in fitted.history.rows for key in row if "accuracy" in key} == {
        "train/accuracy"
    }
    assert not (fitted.folder.path / SELECTED).exists()
    assert (fitted.selection.epoch, fitted.selection.score) == (2, None)


class Signalled(Scored):
    """Gets SIGTERM within its k-th step."""

    def __init__(self, step: int | None = None, done: int = 0) -> None:
        super().__init__([1.0] * 12)
        self.step_of_signal, self.calls = step, done

    def loss(self, net, batch, progress):
        losses = super().loss(net, batch, progress)
        if self.calls == self.step_of_signal:
            signal.raise_signal(signal.SIGTERM)
        return losses


@pytest.mark.parametrize("step", [3, 4, 12])
def test_a_signal_ends_the_run_after_the_step_that_it_came_in(toy_parts, toy_fit, step):
    strategy = Signalled(step)
    with pytest.raises(Interrupted):
        toy_fit(toy_parts(strategy, steps=12, log_every=100))
    assert strategy.calls == step
    left = toy_fit.left
    assert (left.checkpoint.step, left.checkpoint.run_step) == (step, step)
    assert left.history.rows[-1]["step"] == step  # what was not logged yet is logged
    assert (left.folder.path / "checkpoints" / "last.ckpt").is_file()


@pytest.mark.parametrize(
    ("steps", "step"),
    [(12, 3), (12, 4), (12, 8), (12, 12), (10, 9), (10, 10)],  # 4 steps an epoch
)
def test_rows_and_scores_are_those_of_a_run_that_was_not_interrupted(
    toy_parts, toy_fit, steps, step
):
    options = {"steps": steps, "log_every": 1}
    whole = toy_fit(toy_parts(Signalled(), **options), rule="source_val")
    with pytest.raises(Interrupted):
        toy_fit(toy_parts(Signalled(step), **options), rule="source_val")
    checkpoint = load_checkpoint(toy_fit.left.folder.path)
    resumed = toy_fit(toy_parts(Signalled(done=step), **options), checkpoint=checkpoint)
    assert resumed.history.rows == whole.history.rows
    assert resumed.selection == whole.selection
    assert resumed.checkpoint.run_step == steps


class Diagnosed(Scripted):
    def diagnose(self, history):
        return [f"{len(history)} rows"]


def test_warnings_are_asked_for_after_every_epoch(toy_parts, toy_fit):
    assert toy_fit(toy_parts(Diagnosed([1] * 8), steps=8)).warned == ["2 rows", "4 rows"]


def history(values) -> list[dict[str, float]]:
    """Rows with the discriminator's accuracy, each after one that has other columns."""
    rows = []
    for step, value in enumerate(values):
        rows.append({"step": step, "epoch": 1, "source_val/accuracy": 0.5})
        rows.append({"step": step, "epoch": 1, "train/domain_accuracy": value})
    return rows


@pytest.mark.parametrize(
    ("level", "said"),
    [(1.0, "sits at 1.000: it always wins"), (0.5, "sits at 0.500: it does not learn")],
)
def test_a_constant_discriminator_is_warned_of(level, said):
    [warning] = DANN().diagnose(history([0.7, 0.8, *[level] * 20]))
    assert said in warning


def test_a_jittering_discriminator_is_not_warned_of():
    jitter = [0.5 + 0.02 * (-1) ** i for i in range(40)]
    assert DANN().diagnose(history(jitter)) == []


def test_a_short_history_says_nothing():
    assert DANN().diagnose(history([0.5] * 19)) == []
    assert DANN().diagnose([]) == []


def test_what_a_stage_fits_at_its_end_is_fitted_to_the_selected_epoch(toy_parts, toy_fit):
    class Fits(Scored):
        def end_stage(self, net, stage, data):
            self.seen = {name: value.clone() for name, value in net.state_dict().items()}

    parts = toy_parts(Fits([0] * 12), steps=12)
    fitted = toy_fit(parts, rule="source_val")
    assert fitted.selection.epoch == 2  # of three
    selected = torch.load(fitted.folder.path / SELECTED, weights_only=True)
    for name, value in parts.model.strategy.seen.items():
        assert torch.equal(value, selected[f"net.{name}"])
        assert torch.equal(parts.model.net.state_dict()[name], value)
