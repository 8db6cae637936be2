"""The one LightningModule: it sums and logs losses, steps the optimiser, counts."""

from collections.abc import Iterator
from typing import Any, cast

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from tltool.backbones.base import Input, Net
from tltool.optim import OptimizerConfig
from tltool.strategies.base import Batch, Losses, Strategy


class Learner(pl.LightningModule):
    """Trains a network by a strategy, whichever it is, for one stage at a time.

    It optimises by hand, so that steps, clipping and rates are counted in one place for every
    strategy, and every random number of a step comes from (seed, stage, step), so that a run
    resumed at any step is the run that was not interrupted.

    Args:
        net: The network.
        strategy: Built for this network.
        optimizer: Makes the optimiser of each stage.
        seed: The run's seed.
    """

    def __init__(self, net: Net, strategy: Strategy, optimizer: OptimizerConfig, seed: int) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.net, self.strategy = net, strategy
        self.optimizer_config, self.seed = optimizer, seed
        self.stage, self.done_steps, self.total_steps = 0, 0, 1
        self.logged: list[tuple[int, float, Losses]] = []

    def start_stage(self, stage: int, total_steps: int, done_steps: int = 0) -> None:
        """Sets which stage is trained, how many steps it has and how many are done."""
        self.stage, self.total_steps, self.done_steps = stage, total_steps, done_steps

    @property
    def progress(self) -> float:
        """Part of the stage that is done, in [0, 1]."""
        return self.done_steps / self.total_steps

    def configure_optimizers(self) -> Optimizer:
        """Returns the stage's optimiser and freezes what it does not train."""
        groups = self.strategy.param_groups(self.net, self.stage)
        trained = {id(p) for group in groups for p in group["params"]}
        for parameter in self.net.parameters():
            parameter.requires_grad_(id(parameter) in trained)
        backbone = self.net.backbone
        pretrained = list(backbone.parameters()) if backbone.pretrained else ()
        return self.optimizer_config.create(groups, pretrained)

    def train(self, mode: bool = True) -> "Learner":
        """Sets the mode; parts that are frozen as a whole stay in eval mode."""
        super().train(mode)
        if mode:
            for part in _frozen_parts(self):
                part.eval()
        return self

    def on_before_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Seeds the coming step before its first random number, which augmentation draws."""
        seed = hash((self.seed, self.stage, self.done_steps, self.global_rank))
        # Not torch.manual_seed: it also turns to accelerators that are not there, and formats a
        # stack trace for each: half a millisecond, more than all else that Lightning does here.
        torch.default_generator.manual_seed(seed)
        if self.device.type == "cuda":
            torch.cuda.manual_seed(seed)
        return batch

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """Makes one step and keeps its losses, unsynchronised, for the log."""
        optimizer = cast(Any, self.optimizers())
        rate = self.optimizer_config.set_rate(optimizer, self.progress)
        if self.strategy.manual:
            losses = self.strategy.step(self.net, batch, self.progress, self._minimise)
        else:
            losses = self.strategy.loss(self.net, batch, self.progress)
            self._minimise(losses.total)
        self.strategy.after_step(self.net)
        self.done_steps += 1
        self.logged.append((self.done_steps, rate, _detached(losses)))

    def _minimise(self, loss: Tensor) -> None:
        optimizer = cast(Any, self.optimizers())
        optimizer.zero_grad(set_to_none=True)
        self.manual_backward(loss)
        if self.optimizer_config.clip is not None:
            trained = [p for group in optimizer.param_groups for p in group["params"]]
            nn.utils.clip_grad_norm_(trained, self.optimizer_config.clip)
        optimizer.step()

    @torch.inference_mode()
    def predict_tasks(self, x: Input) -> dict[str, Tensor]:
        """Returns logits ``(B, C)`` of each task, float32; see `Strategy.predict_tasks`."""
        logits = self.strategy.predict_tasks(self.net, x)
        return {task: of_task.float() for task, of_task in logits.items()}


def _detached(losses: Losses) -> Losses:
    return Losses(
        {name: term.detach() for name, term in losses.terms.items()},
        {name: metric.detach() for name, metric in losses.metrics.items()},
    )


def _frozen_parts(module: nn.Module) -> Iterator[nn.Module]:
    """Yields the largest parts that have parameters, none of which is trained."""
    for child in module.children():
        trained = [p.requires_grad for p in child.parameters()]
        if trained and not any(trained):
            yield child
        elif trained:
            yield from _frozen_parts(child)
