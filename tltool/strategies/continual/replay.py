"""Experience replay."""

from collections.abc import Sequence
from typing import ClassVar

from tltool.backbones.base import Net
from tltool.losses.classification import accuracy
from tltool.losses.continual import masked_cross_entropy, possible_only
from tltool.strategies.base import Batch, DataSpec, Losses, Stage, Strategy
from tltool.strategies.continual.stages import masked_supervised, stage_per_context
from tltool.strategies.pairs import concat


class Replay(Strategy):
    """Each context in turn, with some examples of those before: ``1/k CE_new + (1-1/k) CE_memory``.

    k is the number of the context that is learned, from 1, so that each weighs the same. Both
    cross-entropies are over the classes that are possible in the example's own context. A batch
    holds as many remembered examples as new ones; both go through the network in one pass.

    Batch: ``x``, ``y`` (B,), ``classes`` (B, C), and the same in ``memory`` from the second context
    on.

    Args:
        memory: Examples of each class that are kept of every context.

    References:
        [0] van de Ven, Tuytelaars & Tolias, Three types of incremental learning, Nature Machine
            Intelligence 2022 ("ER").
        [1] https://github.com/GMvandeVen/continual-learning, whose loss this is. There the memory
            in the task scenario is drawn context by context, here from all of them together.
    """

    feed: ClassVar[str] = "contexts"
    controls: ClassVar[tuple[str, ...]] = ("naive", "joint")

    def __init__(self, memory: int = 100) -> None:
        super().__init__()
        if memory < 1:
            raise ValueError(f"memory must be at least 1, got {memory}: strategy=naive has none")
        self.memory, self.contexts = memory, 1

    def build(self, net: Net, spec: DataSpec) -> None:
        """Takes the number of contexts."""
        self.contexts = spec.contexts

    def stages(self) -> Sequence[Stage]:
        """Returns a stage for each context."""
        return stage_per_context(self.contexts, memory=self.memory)

    def loss(self, net: Net, batch: Batch, progress: float) -> Losses:
        """Returns the terms ``classification`` and, where there is a memory, ``memory``."""
        if "memory" not in batch:
            return masked_supervised(net, batch)
        memory, y, classes = batch["memory"], batch["y"], batch["classes"]
        share = 1.0 / (self.stage + 1)
        new, old = net(concat(batch["x"], memory["x"])).split([len(y), len(memory["y"])])
        return Losses(
            {
                "classification": share * masked_cross_entropy(new, y, classes),
                "memory": (1.0 - share) * masked_cross_entropy(old, memory["y"], memory["classes"]),
            },
            {
                "accuracy": accuracy(possible_only(new, classes), y),
                "memory_accuracy": accuracy(possible_only(old, memory["classes"]), memory["y"]),
            },
        )
