"""Watches a stage: log, non-finite losses, signals, selection, checkpoints."""

import time
from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from tltool.errors import RunError
from tltool.learner import Learner
from tltool.run.budget import Budget
from tltool.run.checkpoint import Checkpoint, save_selected
from tltool.run.folder import RunFolder
from tltool.run.history import History
from tltool.run.selection import Selection
from tltool.run.signals import Interrupted, Signals
from tltool.run.validation import Validation
from tltool.strategies.base import Stage

Update = Callable[[int, int, str], None]


class Monitor(pl.Callback):
    """Everything around the steps of one stage.

    Args:
        folder: The run folder.
        history: Takes the logged rows.
        signals: Asks for an end between two steps.
        checkpoint: Where the stage starts; kept up to date by `save`.
        selection: Which epoch is the best so far.
        validation: Scores every epoch.
        stage: What is trained.
        last: Whether it is the last stage, whose epochs are chosen from.
        update: Moves the progress bar.
        warn: Shows and keeps a warning.
        log_every: Steps in a row of the log.
        checkpoint_every: Seconds between two checkpoints.
        budget: Of this stage.
        epochs_before: Epochs of the stages before.
    """

    def __init__(
        self,
        *,
        folder: RunFolder,
        history: History,
        signals: Signals,
        checkpoint: Checkpoint,
        selection: Selection,
        validation: Validation,
        stage: Stage,
        last: bool,
        update: Update,
        warn: Callable[[str], None],
        log_every: int,
        checkpoint_every: float,
        budget: Budget,
        epochs_before: int,
    ) -> None:
        self.folder, self.history, self.signals = folder, history, signals
        self.checkpoint, self.selection, self.validation = checkpoint, selection, validation
        self.stage, self.last = stage, last
        self.update, self.warn = update, warn
        self.log_every, self.checkpoint_every = log_every, checkpoint_every
        self.budget, self.epochs_before = budget, epochs_before
        self.steps_before = checkpoint.run_step - checkpoint.step
        self._seconds_before = checkpoint.fit_seconds
        self._cpu_before = checkpoint.fit_cpu_seconds
        self._started = self._saved = time.monotonic()
        self._cpu_started = time.process_time()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Takes the signals back from Lightning, and the optimiser's state up again."""
        self.signals.install()
        if self.checkpoint.optimizer is not None:
            trainer.strategy.load_optimizer_state_dict(
                {"optimizer_states": [self.checkpoint.optimizer]}
            )
        self._started = self._saved = time.monotonic()
        self._cpu_started = time.process_time()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Puts the frozen parts in eval mode, and all others in training mode."""
        pl_module.train()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, i: int
    ) -> None:
        """Logs every ``log_every`` steps; ends the run where a signal asked for it."""
        learner = _learner(pl_module)
        if learner.done_steps % self.log_every == 0:
            self._flush(learner)
        if not trainer.is_last_batch:  # an epoch's last step is over once the epoch is scored
            self._stop_if_asked(trainer, learner)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Logs the rest, scores the epoch, looks for trouble, saves now and then."""
        learner = _learner(pl_module)
        self._flush(learner)
        self._select(learner)
        for warning in learner.strategy.diagnose(self.history.rows):
            self.warn(warning)
        self._stop_if_asked(trainer, learner)
        if time.monotonic() - self._saved >= self.checkpoint_every:
            self.save(trainer, learner)
        datamodule: Any = trainer.datamodule  # type: ignore[attr-defined]  # set by Trainer.fit
        datamodule.serve(self.budget.next_epoch(learner.done_steps))

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keeps the optimiser's state; waits until rank 0 has written the selected weights."""
        optimizer: Any = _learner(pl_module).optimizers(use_pl_optimizer=False)
        self.checkpoint.optimizer = trainer.strategy.optimizer_state(optimizer)
        trainer.strategy.barrier()

    def save(self, trainer: pl.Trainer, learner: Learner) -> None:
        """Writes a checkpoint of the step just done."""
        optimizer: Any = learner.optimizers(use_pl_optimizer=False)
        self.checkpoint.step = learner.done_steps
        self.checkpoint.run_step = self.steps_before + learner.done_steps
        self.checkpoint.learner = trainer.strategy.lightning_module_state_dict()
        self.checkpoint.optimizer = trainer.strategy.optimizer_state(optimizer)
        self.checkpoint.selection = self.selection.state()
        self.keep_time()
        self.checkpoint.save(self.folder)
        self._saved = time.monotonic()

    def keep_time(self) -> None:
        """Puts the time spent training into the checkpoint, that before an interruption too."""
        self.checkpoint.fit_seconds = self._seconds_before + time.monotonic() - self._started
        cpu = time.process_time() - self._cpu_started
        self.checkpoint.fit_cpu_seconds = self._cpu_before + cpu

    def _epoch(self, learner: Learner) -> int:
        return self.epochs_before + -(-learner.done_steps // self.budget.epoch_steps)

    def _stop_if_asked(self, trainer: pl.Trainer, learner: Learner) -> None:
        if self._asked_to_stop(trainer):
            self._flush(learner)
            self.save(trainer, learner)
            raise Interrupted(self.signals.received or 15)

    def _asked_to_stop(self, trainer: pl.Trainer) -> bool:
        asked = self.signals.received is not None
        if trainer.world_size == 1:
            return asked
        # All ranks must stop at the same step, or the others would wait for ever.
        return trainer.strategy.reduce_boolean_decision(asked, all=False)

    def _select(self, learner: Learner) -> None:
        scores, problem = self.validation.epoch(self.stage, learner.progress)
        epoch = self._epoch(learner)
        if scores:
            row = {"step": self.steps_before + learner.done_steps, "epoch": epoch}
            self.history.log({**row, **scores})
        if problem is not None:
            self.warn(problem)
        if self.last and self.selection.chooses:
            if self.selection.better(epoch, scores[self.validation.column(self.selection.rule)]):
                save_selected(self.folder, learner.state_dict())

    def _flush(self, learner: Learner) -> None:
        """Writes the mean of the steps since the last row, after checking every one."""
        if not learner.logged:
            return
        logged, learner.logged = learner.logged, []
        names = list(logged[0][2].terms)
        metrics = list(logged[0][2].metrics)
        rows = [[*entry.terms.values(), *entry.metrics.values()] for _, _, entry in logged]
        values = torch.stack([_stack(row) for row in rows])
        values = learner.trainer.strategy.reduce(values).cpu()  # the mean over devices
        self._check_finite(values[:, : len(names)], names, logged[0][0])
        means = values.mean(dim=0).tolist()
        row = {f"train/{key}": value for key, value in zip([*names, *metrics], means, strict=True)}
        row["train/loss"] = sum(means[: len(names)])
        self.history.log(
            {
                "step": self.steps_before + learner.done_steps,
                "epoch": self._epoch(learner),
                **row,
                "train/lr": logged[-1][1],
            }
        )
        accuracy = f" accuracy {row['train/accuracy']:.3f}" if "train/accuracy" in row else ""
        note = f"loss {row['train/loss']:.3f}{accuracy}"
        self.update(learner.done_steps, learner.total_steps, note)

    def _check_finite(self, terms: Tensor, names: list[str], first_step: int) -> None:
        bad = (~torch.isfinite(terms)).nonzero()
        if len(bad) > 0:
            row, column = bad[0].tolist()
            raise RunError(
                f"the loss term '{names[column]}' is {terms[row, column].item()} at step "
                f"{self.steps_before + first_step + row}: nothing after it can be trusted; try a "
                "smaller optimizer.lr, or optimizer.clip=1"
            )


def _stack(scalars: list[Tensor]) -> Tensor:
    return torch.stack([scalar.reshape(()).float() for scalar in scalars])


def _learner(module: pl.LightningModule) -> Learner:
    assert isinstance(module, Learner)
    return module
