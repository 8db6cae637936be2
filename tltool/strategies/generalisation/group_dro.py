"""Group distributionally robust optimisation."""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from tltool.backbones.base import Net
from tltool.losses.generalisation import exponentiated
from tltool.strategies.base import Batch, DataSpec, Losses, Strategy
from tltool.strategies.generalisation.environments import environment_metrics, risks_of


class GroupDRO(Strategy):
    """The sources that are learned worst count most: ``sum_e q_e R_e``.

    R_e is the mean cross-entropy of source e. Before each step ``q_e`` is multiplied by
    ``exp(eta R_e)`` and divided by the sum, from ``1/E`` at the start; no gradient goes through it.
    The groups are the sources.

    Batch: ``x``, ``y`` (B,), ``domain`` (B,) with as many examples of every source; the target is
    never read.

    Args:
        eta: Step size of the weights, from 0 on; 0 is the mean over the sources.

    References:
        [0] Sagawa et al., Distributionally robust neural networks for group shifts, ICLR 2020; it
            finds strong weight decay to be needed where all of the training set is fitted.
        [1] DomainBed, `GroupDRO`, with the same eta; there, as here, a batch holds every group.
    """

    feed: ClassVar[str] = "sources"
    controls: ClassVar[tuple[str, ...]] = ("erm",)
    needs_sources: ClassVar[bool] = True
    limit: ClassVar[Mapping[str, Any]] = {"eta": 0.0}
    limit_of: ClassVar[str] = "erm"

    weights: Tensor

    def __init__(self, eta: float = 0.01) -> None:
        super().__init__()
        if eta < 0:
            raise ValueError(f"eta must not be negative, got {eta}")
        self.eta = eta

    def build(self, net: Net, spec: DataSpec) -> None:
        """Creates the weights ``(E,)``."""
        number = len(spec.sources)
        self.register_buffer("weights", torch.full((number,), 1.0 / number))

    def loss(self, net: Net, batch: Batch, progress: float) -> Losses:
        """Moves the weights; returns the term ``classification``, weighted."""
        number = len(self.weights)
        logits, risks = risks_of(net, batch, number)
        self.weights.copy_(exponentiated(self.weights, risks.detach(), self.eta))
        metrics = environment_metrics(logits, batch, number)
        metrics["largest_weight"] = self.weights.max()
        # A copy: the backward pass needs it as it is, and a further call would change it.
        return Losses({"classification": (self.weights.clone() * risks).sum()}, metrics)
