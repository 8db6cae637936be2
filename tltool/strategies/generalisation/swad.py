"""Stochastic weight averaging, densely."""

import copy
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from tltool.backbones.base import Input, Net
from tltool.strategies.base import Batch, DataSpec, Losses, StageData, Strategy
from tltool.strategies.batch_norm import batch_norms, estimate_statistics
from tltool.strategies.supervised import supervised


class SWAD(Strategy):
    """Predicts with the mean of the weights after each of the last steps, a flatter minimum.

    Trains by ``CE(h(f(x)), y)`` on as many examples of every source. From the part ``start`` of the
    training on, the weights after every step enter an equal mean; at the end it takes their place,
    and one pass over the training examples estimates the statistics of BatchNorm for it. An epoch
    that is scored on the way is scored by the mean so far, with the statistics of the network.

    Batch: ``x``, ``y`` (B,); the target is never read.

    Args:
        start: Part of the training, in [0, 1], from which on weights are averaged; 1 is none.

    References:
        [0] Cha et al., SWAD: domain generalization by seeking flat minima, NeurIPS 2021. There the
            mean begins when the validation loss of the sources stops to fall and ends when it rises
            again; here it is over the last part of the training, whatever that loss does: what is
            averaged is as dense, and its window is not aware of overfitting.
        [1] Izmailov et al., Averaging weights leads to wider optima and better generalization, UAI
            2018, which averages once an epoch, at a constant learning rate. Here the rate is that
            of `optimizer`: where it falls to 0, the mean hardly differs from the last weights.
    """

    feed: ClassVar[str] = "sources"
    controls: ClassVar[tuple[str, ...]] = ("erm",)
    needs_sources: ClassVar[bool] = True
    limit: ClassVar[Mapping[str, Any]] = {"start": 1.0}
    limit_of: ClassVar[str] = "erm"

    count: Tensor

    def __init__(self, start: float = 0.5) -> None:
        super().__init__()
        if not 0 <= start <= 1:
            raise ValueError(f"start must be in [0, 1], got {start}")
        self.start, self.progress = start, 0.0

    def build(self, net: Net, spec: DataSpec) -> None:
        """Creates the mean and how many weights are in it."""
        self.mean = copy.deepcopy(net).requires_grad_(False)
        self.register_buffer("count", torch.zeros(()))

    def loss(self, net: Net, batch: Batch, progress: float) -> Losses:
        """Returns the term ``classification``."""
        self.progress = progress
        return supervised(net, batch)

    @torch.no_grad()
    def after_step(self, net: Net) -> None:
        """Takes the weights into the mean."""
        if self.progress < self.start:
            return
        self.count.add_(1)
        for mean, now in zip(self.mean.parameters(), net.parameters(), strict=True):
            mean.lerp_(now, 1.0 / self.count)
        for kept, buffer in zip(self.mean.buffers(), net.buffers(), strict=True):
            kept.copy_(buffer)

    def end_stage(self, net: Net, stage: int, data: StageData) -> None:
        """Puts the mean in place, and estimates the statistics of BatchNorm."""
        if self.count == 0:
            return
        net.load_state_dict(self.mean.state_dict())
        if batch_norms(net):
            estimate_statistics(net, data.examples(shuffled=True))
        self.mean.load_state_dict(net.state_dict())

    def features(self, net: Net, x: Input) -> Tensor:
        """Returns the features ``(B, D)`` of the mean, once there is one."""
        return self._of(net).features(x)

    def logits(self, net: Net, features: Tensor) -> Tensor:
        """Returns the logits ``(B, C)`` of the mean, once there is one."""
        logits: Tensor = self._of(net).head(features)
        return logits

    def _of(self, net: Net) -> Net:
        return self.mean if self.count > 0 else net
