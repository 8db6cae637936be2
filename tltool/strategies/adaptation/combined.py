"""Several adaptation terms on one forward pass."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from torch import Tensor, nn

from tltool.backbones.base import Net
from tltool.strategies.base import DataSpec, Losses, Stage, StageData, Strategy
from tltool.strategies.pairs import BatchNorm, Pair, PairStrategy


class Combined(PairStrategy):
    """Learns from the source's labels and from the weighted sum of several strategies' terms.

    ``CE(h(f(x_s)), y_s) + sum_k weights_k * T_k``, T_k what the k-th strategy adds to the loss of
    the labels, with its own options. Both domains go through the network once for all of them.

    Batch: ``source.x``, ``source.y`` (B,), ``target.x``; target labels are never seen.

    Args:
        terms: Strategies, by name, or as ``{NAME: {key: value}}`` with options of their own; those
            that add terms to a pair of batches, such as dann, mmd, reconstruction, entropy.
        weights: Of each; 1 by default. With all at 0 it is training on the source alone.
        batch_norm: See `PairStrategy`; it holds for all terms.
    """

    limit: ClassVar[Mapping[str, Any]] = {"weights": [0.0, 0.0], "batch_norm": "separate"}

    def __init__(
        self,
        terms: Sequence[Strategy],
        weights: Sequence[float] = (),
        batch_norm: BatchNorm = "joint",
    ) -> None:
        super().__init__()
        if not terms:
            raise ValueError("terms names no strategy: type strategy.terms=[dann,entropy]")
        pairs = [one for one in terms if isinstance(one, PairStrategy) and _adds_terms(one)]
        if len(pairs) < len(terms):
            other = next(one for one in terms if one not in pairs)
            raise ValueError(
                f"terms: {type(other).__name__} does not add terms to a pair of batches, as dann, "
                "mmd, coral, entropy and their like do"
            )
        if weights and len(weights) != len(terms):
            raise ValueError(f"weights={list(weights)}: {len(terms)} numbers wanted, one a term")
        if any(weight < 0 for weight in weights):
            raise ValueError(f"weights={list(weights)}: none may be negative")
        self.terms = nn.ModuleList(pairs)
        self._terms = tuple(pairs)  # the same ones, typed
        self.names = _names(pairs)
        self.weights = list(weights) or [1.0] * len(pairs)
        self.batch_norm: BatchNorm = batch_norm
        # What it takes depends on its terms.
        self.needs = tuple(dict.fromkeys(n for one in pairs for n in one.needs))  # type: ignore[misc]
        self.regression = all(one.regression for one in pairs)  # type: ignore[misc]
        self.modalities = tuple(  # type: ignore[misc]
            kind for kind in self.modalities if all(kind in one.modalities for one in pairs)
        )

    def stages(self) -> Sequence[Stage]:
        """Returns the one stage, with what the terms want of the feed."""
        options = {key: value for one in self._terms for key, value in _options(one).items()}
        return [Stage(options=options)]

    def build(self, net: Net, spec: DataSpec) -> None:
        """Builds every term."""
        for term in self._terms:
            term.build(net, spec)

    def begin_stage(self, net: Net, stage: int, data: StageData) -> None:
        """Lets every term begin."""
        for term in self._terms:
            term.begin_stage(net, stage, data)

    def end_stage(self, net: Net, stage: int, data: StageData) -> None:
        """Lets every term end."""
        for term in self._terms:
            term.end_stage(net, stage, data)

    def transfer(self, net: Net, pair: Pair, progress: float) -> Losses:
        """Returns every strategy's terms, weighted, with its name before theirs."""
        terms: dict[str, Tensor] = {}
        metrics: dict[str, Tensor] = {}
        for name, weight, one in zip(self.names, self.weights, self._terms, strict=True):
            more = one.transfer(net, pair, progress)
            terms |= {f"{name}_{key}": weight * value for key, value in more.terms.items()}
            metrics |= more.metrics
        return Losses(terms, metrics)

    def after_step(self, net: Net) -> None:
        """Runs what the terms run: moving averages."""
        for term in self._terms:
            term.after_step(net)

    def diagnose(self, history: Sequence[Mapping[str, float]]) -> list[str]:
        """Returns the warnings of all terms."""
        return [line for term in self._terms for line in term.diagnose(history)]


def _adds_terms(strategy: PairStrategy) -> bool:
    """Whether it does nothing but add terms: one stage, and the loss of `PairStrategy`."""
    plain = type(strategy).loss is PairStrategy.loss and not strategy.manual
    return plain and len(strategy.stages()) == 1


def _options(strategy: PairStrategy) -> Mapping[str, Any]:
    [stage] = strategy.stages()
    return stage.options


def _names(terms: Sequence[PairStrategy]) -> list[str]:
    """Returns the name of each class in small letters, numbered where it is there twice."""
    names = [type(term).__name__.lower() for term in terms]
    return [
        f"{name}{names[:i].count(name) + 1}" if names.count(name) > 1 else name
        for i, name in enumerate(names)
    ]
