"""Learning one context after the other, and nothing against forgetting."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from tltool.backbones.base import Net
from tltool.strategies.base import Batch, DataSpec, Losses, Stage, Strategy
from tltool.strategies.continual.stages import masked_supervised, stage_per_context


class Naive(Strategy):
    """Each context in turn, ``CE(h(f(x)), y)`` over the classes that are possible in it.

    It is the lower bound that methods against forgetting are compared with. Contexts get equal
    parts of the steps; the optimiser goes on from one to the next.

    Batch: ``x``, ``y`` (B,), ``classes`` (B, C).

    References:
        [0] van de Ven, Tuytelaars & Tolias, Three types of incremental learning, Nature Machine
            Intelligence 2022 ("None").
    """

    feed: ClassVar[str] = "contexts"
    controls: ClassVar[tuple[str, ...]] = ("joint",)
    limit: ClassVar[Mapping[str, Any]] = {}
    limit_of: ClassVar[str] = "naive"

    def __init__(self) -> None:
        super().__init__()
        self.contexts = 1

    def build(self, net: Net, spec: DataSpec) -> None:
        """Takes the number of contexts."""
        self.contexts = spec.contexts

    def stages(self) -> Sequence[Stage]:
        """Returns a stage for each context."""
        return stage_per_context(self.contexts)

    def loss(self, net: Net, batch: Batch, progress: float) -> Losses:
        """Returns the term ``classification``."""
        return masked_supervised(net, batch)
