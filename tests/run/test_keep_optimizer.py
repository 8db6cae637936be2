"""A stage may go on with the optimiser of the stage before it, also over an interruption."""

import signal

import pytest
import torch

from tltool.optim import AdamW
from tltool.run.checkpoint import load_checkpoint
from tltool.run.signals import Interrupted
from tltool.strategies.base import Stage, Strategy
from tltool.strategies.supervised import supervised

STEPS = 12


class Staged(Strategy):
    """Learns from labels in some stages; a signal comes in one of its steps."""

    def __init__(self, *stages, signal_in=None):
        super().__init__()
        self._stages, self.signal_in, self.calls = stages, signal_in, 0

    def stages(self):
        return self._stages

    def loss(self, net, batch, progress):
        self.calls += 1
        if self.calls == self.signal_in:
            signal.raise_signal(signal.SIGTERM)
        return supervised(net, batch)


KEPT = (Stage("one"), Stage("two", keep_optimizer=True))


@pytest.fixture
def train(toy_parts, toy_fit):
    """Returns the weights after `STEPS` steps of Adam, all of one rate."""

    def weights(*stages, signal_in=None, checkpoint=None):
        strategy = Staged(*stages, signal_in=signal_in)
        parts = toy_parts(strategy, AdamW(schedule="constant", warmup=0.0), steps=STEPS)
        toy_fit(parts, checkpoint=checkpoint)
        return parts.model.net.state_dict()

    return weights


def same(a, b) -> bool:
    return all(torch.equal(a[name], b[name]) for name in a)


def test_two_stages_with_one_optimiser_are_one_stage(train):
    whole = train(Stage())
    assert same(train(*KEPT), whole)
    assert not same(train(Stage("one"), Stage("two")), whole)


@pytest.mark.parametrize("step", [5, 6, 7, 9])  # the second stage begins after step 6
def test_an_interruption_changes_nothing(train, toy_fit, step):
    whole = train(*KEPT)
    with pytest.raises(Interrupted):
        train(*KEPT, signal_in=step)
    checkpoint = load_checkpoint(toy_fit.left.folder.path)
    assert checkpoint.run_step == step and checkpoint.optimizer is not None
    assert same(train(*KEPT, checkpoint=checkpoint), whole)


def test_nothing_is_kept_for_a_stage_that_starts_anew(train, toy_fit):
    train(*KEPT, Stage("three"))
    assert toy_fit.left.checkpoint.optimizer is None
