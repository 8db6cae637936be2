"""The contract of a strategy: what it learns from, its loss, its stages."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from torch import Tensor, nn

from tltool.backbones.base import Input, Net
from tltool.losses.metric import nearest_mean

# Nested by role where a feed has roles: {"source": {"x", "y"}, "target": {"x"}}.
Batch = dict[str, Any]
Minimise = Callable[[Tensor], None]


@dataclass(frozen=True)
class DataSpec:
    """What a strategy may know of the data.

    Args:
        num_classes: C.
        class_names: C names, in the order of the labels.
        sizes: Training examples of each domain.
        tasks: Class names of each task, by its name, where there are several.
        groups: Names of the groups, where the data name one.
        group_counts: Training examples of the source by group and class ``(A, C)``.
        contexts: Of how many contexts the data are, learned one after the other.
        scenario: What is asked in each: ``task``, ``domain`` or ``class``; empty for one context.
        examples: Of all domains and splits; each one's ``index`` in a batch is below it.
        sources: Names of the source's domains, in the order of ``domain`` in a batch.
        regression: Labels are numbers: C is 1, and there are no class names.
    """

    num_classes: int
    class_names: tuple[str, ...]
    sizes: Mapping[str, int]
    tasks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    groups: tuple[str, ...] = ()
    group_counts: tuple[tuple[int, ...], ...] = ()
    contexts: int = 1
    scenario: str = ""
    examples: int = 0
    sources: tuple[str, ...] = ("source",)
    regression: bool = False


@dataclass(frozen=True)
class Losses:
    """What one batch gives.

    Args:
        terms: Named scalars whose sum is minimised, weights already applied.
        metrics: Named scalars that are only logged, such as accuracies in [0, 1].
    """

    terms: Mapping[str, Tensor]
    metrics: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def total(self) -> Tensor:
        """The sum of the terms."""
        terms = iter(self.terms.values())
        total = next(terms)
        for term in terms:
            total = total + term
        return total


@dataclass(frozen=True)
class Stage:
    """One stretch of training, by default with an optimiser of its own.

    Args:
        name: Shown on the progress bar.
        share: Of the run's steps, relative to the other stages.
        feed: Another feed than the strategy's own.
        options: Of the feed; see its class.
        cached_features: The backbone is frozen: compute its features once, train on them.
        keep_optimizer: Go on with the optimiser's state, such as Adam's moments, as the stage
            before left it; the parameter groups must be those of that stage.
    """

    name: str = "train"
    share: float = 1.0
    feed: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    cached_features: bool = False
    keep_optimizer: bool = False


class StageData(Protocol):
    """The training examples of a stage, for what is fitted or measured rather than trained."""

    def examples(self, role: str | None = None, shuffled: bool = False) -> Iterator[Batch]:
        """Yields each once, in a fixed order, unaugmented, on the device: ``{x, y, ...}``.

        Args:
            role: Of the feed, such as ``target`` (``{x, index}``); its first one by default.
            shuffled: In an order drawn by the seed. Folders are read class by class, and some
                figures of a batch are wrong where it holds one class.
        """


class Strategy(nn.Module):
    """A way to learn; subclasses are one file each.

    State that a run must carry over an interruption lives in parameters or buffers.

    Attributes:
        feed: The shape of its batches; see `tltool.data.feeds`.
        modalities: Kinds of input it works on.
        needs: Importable modules that it needs beside tltool's own.
        controls: Strategies that answer "did it help?", the first one gives the verdict.
        uses_target_labels: It learns from them: a bound for others, and no method.
        needs_group: It learns from the protected group, which the dataset must name.
        needs_sources: It learns from what sets several named sources apart.
        needs_batch_norm: Its `build` refuses a network without BatchNorm.
        regression: It also learns labels that are numbers.
        rejects: What it predicts has one column more than there are classes: none of them.
        limit: Options under which it trains as ``limit_of`` does; ``None`` where there are none.
        limit_of: Another strategy; by default the one that learns from the source's labels alone.
        stage: The one that is trained, counted from 0; the run sets it.
        manual: It steps by itself (`step`), for alternating or inner loops.
        adapts_in_episode: `classify` changes the network, or differentiates through it: it takes
            inputs, and no features that were computed before.
    """

    feed: ClassVar[str] = "plain"
    modalities: ClassVar[tuple[str, ...]] = ("image", "text")
    needs: ClassVar[tuple[str, ...]] = ()
    controls: ClassVar[tuple[str, ...]] = ()
    uses_target_labels: ClassVar[bool] = False
    needs_group: ClassVar[bool] = False
    needs_sources: ClassVar[bool] = False
    needs_batch_norm: ClassVar[bool] = False
    regression: ClassVar[bool] = False
    rejects: ClassVar[bool] = False
    limit: ClassVar[Mapping[str, Any] | None] = None
    limit_of: ClassVar[str] = "source_only"
    manual: ClassVar[bool] = False
    adapts_in_episode: ClassVar[bool] = False
    stage: int = 0

    def build(self, net: Net, spec: DataSpec) -> None:
        """Creates what depends on sizes: heads, discriminators, teachers, buffers.

        Raises:
            ValueError: Options that do not fit this network; the message is what the user reads.
        """

    def stages(self) -> Sequence[Stage]:
        """Returns the stages, in order."""
        return [Stage()]

    def begin_stage(self, net: Net, stage: int, data: StageData) -> None:
        """Runs once when a stage starts, not when it is resumed: its effects are state."""

    def end_stage(self, net: Net, stage: int, data: StageData) -> None:
        """Runs once when a stage is over, in eval mode."""

    def param_groups(self, net: Net, stage: int) -> list[dict[str, Any]]:
        """Returns what the stage's optimiser trains; all other parameters of `net` are frozen.

        A group may carry ``lr_scale`` (times `optimizer.lr`) and any option of the optimiser.
        A part of the network that is frozen as a whole runs in eval mode.
        """
        own = [p for p in self.parameters() if p.requires_grad]
        return [{"params": [*net.parameters(), *own]}]

    def loss(self, net: Net, batch: Batch, progress: float) -> Losses:
        """Returns the losses of a batch.

        Args:
            net: The network.
            batch: As its feed makes it, prepared and on the device.
            progress: Part of this stage that is done, in [0, 1].
        """
        raise NotImplementedError(f"{type(self).__name__} defines no loss")

    def step(self, net: Net, batch: Batch, progress: float, minimise: Minimise) -> Losses:
        """Only for ``manual``: calls ``minimise(loss)`` as often as it likes.

        ``minimise`` clears the gradients, propagates back, clips and lets the optimiser step.
        """
        raise NotImplementedError(f"{type(self).__name__} is manual and defines no step")

    def after_step(self, net: Net) -> None:
        """Runs after each optimiser step: moving averages, masks."""

    def features(self, net: Net, x: Input) -> Tensor:
        """Returns the features ``(B, D)`` that `logits` takes: what is looked at, and validated."""
        return net.features(x)

    def logits(self, net: Net, features: Tensor) -> Tensor:
        """Returns logits ``(B, C)`` of features."""
        logits: Tensor = net.head(features)
        return logits

    def predict(self, net: Net, x: Input) -> Tensor:
        """Returns logits ``(B, C)``: what `features` and `logits` make of it."""
        return self.logits(net, self.features(net, x))

    def predict_tasks(self, net: Net, x: Input) -> dict[str, Tensor]:
        """Returns logits ``(B, C_t)`` of each task, by its name, where a strategy learns several.

        By default what `predict` does, under the name ``label``. Who learns several tasks defines
        this, and `predict` for the first of them.
        """
        return {"label": self.predict(net, x)}

    def classify(self, net: Net, support: Batch, query: Input) -> Tensor:
        """Returns logits ``(Q, way)`` of queries, given the examples of an episode.

        By default those of the nearest class mean: ``-|f(x) - mean_c|^2`` over the features f.

        Args:
            net: The network.
            support: ``x`` and ``y`` (S,), labels 0 to way - 1.
            query: Q inputs.
        """
        way = int(support["y"].max()) + 1
        return nearest_mean(net.features(support["x"]), support["y"], net.features(query), way)

    def diagnose(self, history: Sequence[Mapping[str, float]]) -> list[str]:
        """Returns warnings, one line each, from the rows logged so far (oldest first)."""
        return []
