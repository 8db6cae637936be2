"""Strategies one after the other, on the same network."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from torch import Tensor, nn

from tltool.backbones.base import Input, Net
from tltool.strategies.base import (
    Batch,
    DataSpec,
    Losses,
    Minimise,
    Stage,
    StageData,
    Strategy,
)


class Pipeline(Strategy):
    """Each step goes on from the network that the step before it left.

    The stages are those of the steps in turn, each with an optimiser and a schedule of its own.
    What is predicted, and what it is scored by and compared with, is the last step's.

    Args:
        steps: Strategies, by name, or as ``{NAME: {key: value}}`` with options of their own.
        shares: Of the run's steps that each gets, relative to the others; equal by default.
    """

    manual: ClassVar[bool] = True  # since a step may be

    def __init__(self, steps: Sequence[Strategy], shares: Sequence[float] = ()) -> None:
        super().__init__()
        if not steps:
            raise ValueError("steps names no strategy: type strategy.steps=[linear_probe,finetune]")
        if shares and (len(shares) != len(steps) or min(shares) <= 0):
            raise ValueError(f"shares={list(shares)}: {len(steps)} numbers above 0 wanted")
        self.steps = nn.ModuleList(steps)
        self._steps = tuple(steps)  # the same ones, typed
        last = steps[-1]
        self.shares = list(shares) or [1.0] * len(steps)
        # What a pipeline takes and gives depends on its steps.
        self.feed = last.feed  # type: ignore[misc]
        self.controls = last.controls  # type: ignore[misc]
        self.needs_group = any(step.needs_group for step in steps)  # type: ignore[misc]
        self.needs_sources = any(step.needs_sources for step in steps)  # type: ignore[misc]
        self.regression = all(step.regression for step in steps)  # type: ignore[misc]
        self.rejects = last.rejects  # type: ignore[misc]
        self.adapts_in_episode = last.adapts_in_episode  # type: ignore[misc]
        self.modalities = tuple(  # type: ignore[misc]
            kind for kind in last.modalities if all(kind in s.modalities for s in self._steps)
        )

    def _at(self, stage: int) -> tuple[Strategy, int]:
        """Returns the step that a stage belongs to, and which of its stages that is."""
        for step in self._steps:
            if stage < len(step.stages()):
                step.stage = stage
                return step, stage
            stage -= len(step.stages())
        raise ValueError(f"there is no stage {stage}")

    def build(self, net: Net, spec: DataSpec) -> None:
        """Builds every step."""
        for step in self._steps:
            step.build(net, spec)

    def stages(self) -> Sequence[Stage]:
        """Returns the stages of all steps, with the names of the steps."""
        found = []
        for step, share in zip(self._steps, self.shares, strict=True):
            inner, name = step.stages(), type(step).__name__
            total = sum(stage.share for stage in inner)
            found += [
                replace(
                    stage,
                    name=name if len(inner) == 1 else f"{name} {stage.name}",
                    share=share * stage.share / total,
                    feed=stage.feed or step.feed,
                )
                for stage in inner
            ]
        return found

    def begin_stage(self, net: Net, stage: int, data: StageData) -> None:
        """Lets the step begin."""
        step, inner = self._at(stage)
        step.begin_stage(net, inner, data)

    def end_stage(self, net: Net, stage: int, data: StageData) -> None:
        """Lets the step end."""
        step, inner = self._at(stage)
        step.end_stage(net, inner, data)

    def param_groups(self, net: Net, stage: int) -> list[dict[str, Any]]:
        """Returns what the step trains."""
        step, inner = self._at(stage)
        return step.param_groups(net, inner)

    def loss(self, net: Net, batch: Batch, progress: float) -> Losses:
        """Returns the losses of the step that is trained."""
        return self._at(self.stage)[0].loss(net, batch, progress)

    def step(self, net: Net, batch: Batch, progress: float, minimise: Minimise) -> Losses:
        """Steps as the step does that is trained."""
        now = self._at(self.stage)[0]
        if now.manual:
            return now.step(net, batch, progress, minimise)
        losses = now.loss(net, batch, progress)
        minimise(losses.total)
        return losses

    def after_step(self, net: Net) -> None:
        """Runs what the step runs."""
        self._at(self.stage)[0].after_step(net)

    def features(self, net: Net, x: Input) -> Tensor:
        """Returns the features of the last step ``(B, D)``."""
        return self._steps[-1].features(net, x)

    def logits(self, net: Net, features: Tensor) -> Tensor:
        """Returns the logits of the last step ``(B, C)``."""
        return self._steps[-1].logits(net, features)

    def predict(self, net: Net, x: Input) -> Tensor:
        """Returns the logits of the last step ``(B, C)``."""
        return self._steps[-1].predict(net, x)

    def predict_tasks(self, net: Net, x: Input) -> dict[str, Tensor]:
        """Returns the logits of the last step's tasks ``(B, C_t)``."""
        return self._steps[-1].predict_tasks(net, x)

    def classify(self, net: Net, support: Batch, query: Input) -> Tensor:
        """Returns the logits of the last step ``(Q, way)``."""
        return self._steps[-1].classify(net, support, query)

    def diagnose(self, history: Sequence[Mapping[str, float]]) -> list[str]:
        """Returns the warnings of the step that is trained."""
        return self._at(self.stage)[0].diagnose(history)
