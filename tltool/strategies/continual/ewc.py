"""Elastic weight consolidation."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from tltool.backbones.base import Net
from tltool.losses.continual import quadratic_penalty
from tltool.strategies.base import Batch, DataSpec, Losses, Stage, StageData, Strategy
from tltool.strategies.continual.fisher import exact_fisher
from tltool.strategies.continual.stages import masked_supervised, stage_per_context

# Found by a grid on Split MNIST for the three scenarios [0].
STRENGTHS = {"task": 1e5, "domain": 1e10, "class": 1e9}


class EWC(Strategy):
    """Each context in turn; weights that those before depend on are held where they were.

    ``CE(h(f(x)), y) + strength/2 sum_k sum_i F_ki (theta_i - theta_ki)^2``, theta_k being the
    weights after context k and F_k the diagonal of their Fisher information on its examples, exact
    (`exact_fisher`). The sum over contexts is kept as one quadratic function, which equals it: with
    ``A = sum_k F_k`` and ``m = sum_k F_k theta_k / A`` it is ``sum_i A_i (theta_i - m_i)^2 + r``.
    So the memory does not grow with the contexts.

    Batch: ``x``, ``y`` (B,), ``classes`` (B, C).

    Args:
        strength: Weight of the penalty, from 0 on; null for what was best on Split MNIST: 1e5 in
            the task scenario, 1e10 domain, 1e9 class. It is for Adam, whose steps have one size
            whatever the gradient's; with SGD the training diverges above ``2 / (lr max F)``, and
            optimizer.clip=1 holds it.

    References:
        [0] Kirkpatrick et al., Overcoming catastrophic forgetting in neural networks, PNAS 2017;
            van de Ven, Tuytelaars & Tolias, Three types of incremental learning, Nature Machine
            Intelligence 2022.
        [1] https://github.com/GMvandeVen/continual-learning, whose penalty this is. In the class
            scenario, the classes of later contexts are left out of the softmax there; here they are
            possible from the beginning.
    """

    feed: ClassVar[str] = "contexts"
    controls: ClassVar[tuple[str, ...]] = ("naive", "joint")
    limit: ClassVar[Mapping[str, Any]] = {"strength": 0.0}
    limit_of: ClassVar[str] = "naive"
    precision: Tensor
    centre: Tensor
    rest: Tensor

    def __init__(self, strength: float | None = None) -> None:
        super().__init__()
        if strength is not None and strength < 0:
            raise ValueError(f"strength must not be negative, got {strength}")
        self.strength, self.weight, self.contexts = strength, 0.0, 1

    def build(self, net: Net, spec: DataSpec) -> None:
        """Makes A, m and r as buffers; takes the scenario's strength where none is given."""
        self.contexts = spec.contexts
        default = STRENGTHS.get(spec.scenario, 0.0)
        self.weight = default if self.strength is None else self.strength
        parameters = flat(net)
        self.register_buffer("precision", torch.zeros_like(parameters))
        self.register_buffer("centre", torch.zeros_like(parameters))
        self.register_buffer("rest", torch.zeros(()))

    def stages(self) -> Sequence[Stage]:
        """Returns a stage for each context."""
        return stage_per_context(self.contexts)

    def loss(self, net: Net, batch: Batch, progress: float) -> Losses:
        """Returns the terms ``classification`` and ``penalty``."""
        losses = masked_supervised(net, batch)
        penalty = quadratic_penalty(flat(net), self.centre, self.precision) + self.rest / 2
        return Losses({**losses.terms, "penalty": self.weight * penalty}, losses.metrics)

    @torch.no_grad()
    def end_stage(self, net: Net, stage: int, data: StageData) -> None:
        """Adds the context's quadratic term, unless nothing is learned after it."""
        if stage + 1 == self.contexts:
            return
        fisher, here = exact_fisher(net, data.examples()), flat(net)
        total = self.precision + fisher
        share = torch.where(total > 0, fisher / total, 0.0)
        distance = here - self.centre
        self.rest += (self.precision * share * distance.square()).sum()
        self.centre += share * distance
        self.precision.copy_(total)


def flat(net: Net) -> Tensor:
    """Returns all parameters of the network, one after the other ``(P,)``."""
    return torch.cat([parameter.reshape(-1) for parameter in net.parameters()])
