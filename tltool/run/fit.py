"""Trains all stages, from the start or from a checkpoint."""

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import pytorch_lightning as pl
from rich.console import Console

from tltool.evaluation.base import Evaluation
from tltool.run.budget import Budget, budgets
from tltool.run.build import Parts
from tltool.run.checkpoint import Checkpoint, load_selected
from tltool.run.console import tracked
from tltool.run.features import frozen_features
from tltool.run.folder import RunFolder
from tltool.run.history import History
from tltool.run.monitor import Monitor
from tltool.run.selection import Selection
from tltool.run.signals import Interrupted, Signals
from tltool.strategies.base import Batch, Stage

# What Lightning says of choices that are deliberate here.
EXPECTED_WARNINGS = (
    r".*does not have many workers.*",
    r".*number of training batches.*is smaller than the logging interval.*",
    r".*`?IterableDataset`? has `?__len__`? defined.*",
    r".*GPU available but not used.*",
    r".*module\(s\) in eval mode.*",
    r".*find_unused_parameters=True was specified.*",
    r".*overridden `on_before_batch_transfer` in `LightningModule`.*",
    r".*isinstance\(treespec, LeafSpec\).*",
)


@contextmanager
def stage_inputs(parts: Parts, stage: Stage, console: Console) -> Iterator[None]:
    """Within it, a stage with ``cached_features`` reads features in place of images."""
    # Augmented images have other features in every epoch: these are computed in every step.
    if not stage.cached_features or parts.datamodule.prepare.augment != "none":
        yield
        return
    table = parts.table
    features = frozen_features(parts, console)
    parts.datamodule.table = replace(table, x=features)
    try:
        with parts.model.net.on_features():
            yield
    finally:
        parts.datamodule.table = table


@dataclass(frozen=True)
class TrainingExamples:
    """What a strategy may look at between two stages; see `tltool.strategies.base.StageData`."""

    parts: Parts
    stage: Stage

    def examples(self, role: str | None = None) -> Iterator[Batch]:
        """Yields the training examples of the stage's feed once, of its first role or another."""
        name = self.stage.feed or self.parts.model.strategy.feed
        device = self.parts.model.hardware.device
        return self.parts.datamodule.examples(name, self.stage.options, device, role)


def fit(
    parts: Parts,
    *,
    folder: RunFolder,
    history: History,
    signals: Signals,
    checkpoint: Checkpoint,
    selection: Selection,
    evaluation: Evaluation,
    warn: Callable[[str], None],
    console: Console,
) -> None:
    """Trains what the checkpoint has not yet trained; the checkpoint ends at the last stage.

    Where an epoch is selected, its weights are in place at the end.

    Raises:
        RunError: A loss is not finite, or the disk is full.
        Interrupted: A signal came; the checkpoint holds the last step.
    """
    stages, plan = parts.model.strategy.stages(), budgets(parts)
    if checkpoint.learner is not None:
        parts.model.learner.load_state_dict(checkpoint.learner)
    if checkpoint.evaluation:
        evaluation.load_state(checkpoint.evaluation)
    elif checkpoint.learner is None:
        evaluation.before_training()
        checkpoint.evaluation = evaluation.state()
    for number in range(checkpoint.stage, len(stages)):
        stage, budget = stages[number], plan[number]
        last = number == len(stages) - 1
        parts.model.strategy.stage = number
        with stage_inputs(parts, stage, console), tracked(console, stage.name) as update:
            data = TrainingExamples(parts, stage)
            if checkpoint.step == 0:
                parts.model.learner.to(parts.model.hardware.device).eval()
                parts.model.strategy.begin_stage(parts.model.net, number, data)
            monitor = Monitor(
                folder=folder,
                history=history,
                signals=signals,
                checkpoint=checkpoint,
                selection=selection,
                score=_score(evaluation, selection) if last else None,
                chooses_by=evaluation.chooses_by,
                update=update,
                warn=warn,
                log_every=parts.config["log_every"],
                checkpoint_every=parts.config["checkpoint_every"],
                budget=budget,
                epochs_before=sum(b.epochs for b in plan[:number]),
            )
            if checkpoint.step < budget.steps:
                _fit_stage(parts, number, stage, budget, monitor, signals)
            if last and selection.scored_on is not None:
                # Before the stage ends: what is fitted then is fitted to the weights that stay.
                parts.model.learner.load_state_dict(load_selected(folder))
            parts.model.learner.to(parts.model.hardware.device).eval()
            parts.model.strategy.end_stage(parts.model.net, number, data)
            evaluation.after_stage(number)
        if selection.scored_on is None:
            selection.better(sum(b.epochs for b in plan), None)
        checkpoint.stage, checkpoint.step = number + 1, 0
        if last or not stages[number + 1].keep_optimizer:
            checkpoint.optimizer = None
        checkpoint.run_step = monitor.steps_before + budget.steps
        checkpoint.learner = parts.model.learner.state_dict()
        checkpoint.selection, checkpoint.fit_seconds = selection.state(), monitor.seconds
        checkpoint.evaluation = evaluation.state()
        checkpoint.save(folder)
        if signals.received is not None:  # after the last look at it, while the stage ended
            raise Interrupted(signals.received)


def _score(evaluation: Evaluation, selection: Selection) -> Callable[[], float] | None:
    if selection.scored_on is None:
        return None
    domain, split = selection.scored_on
    return lambda: evaluation.score(domain, split)


def _fit_stage(
    parts: Parts, number: int, stage: Stage, budget: Budget, monitor: Monitor, signals: Signals
) -> None:
    learner, datamodule = parts.model.learner, parts.datamodule
    learner.start_stage(number, budget.steps, monitor.checkpoint.step)
    name = stage.feed or parts.model.strategy.feed
    datamodule.choose(name, stage.options, monitor.steps_before)
    datamodule.serve(budget.next_epoch(learner.done_steps))
    with quiet_lightning(), signals.deferred():
        trainer = pl.Trainer(
            **parts.model.hardware.trainer_options(),
            max_epochs=budget.epochs - learner.done_steps // budget.epoch_steps,
            callbacks=[monitor],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
            reload_dataloaders_every_n_epochs=1,
            limit_val_batches=0,
            num_sanity_val_steps=0,
        )
        trainer.fit(learner, datamodule=datamodule)


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Within it Lightning keeps its greetings and its remarks on deliberate choices to itself."""
    loggers = [logging.getLogger(name) for name in ("pytorch_lightning", "lightning_fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            for message in EXPECTED_WARNINGS:
                warnings.filterwarnings("ignore", message)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
