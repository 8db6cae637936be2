"""StochNorm: BatchNorm that trusts the batch's statistics only some of the time."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from tltool.backbones.base import Net
from tltool.strategies.base import Batch, DataSpec, Losses, Strategy
from tltool.strategies.supervised import supervised


class StochNorm(_BatchNorm):
    """A BatchNorm whose channels are normalised by the batch, or else by the moving statistics.

    In training each channel goes, by a coin of its own in every step, by the batch's statistics
    or by the moving ones as they were before this batch. The moving statistics follow the batch
    as in BatchNorm, and evaluation is BatchNorm's.

    It has the weights, the buffers and the parts (timm's BatchNorm has an activation) of the
    layer whose place it takes, under the same names.

    Args:
        norm: That layer; it keeps moving statistics.

    Attributes:
        p: Probability of the batch's statistics, in [0, 1]; 1, a BatchNorm, until it is set.
    """

    def __init__(self, norm: _BatchNorm) -> None:
        super().__init__(norm.num_features, norm.eps, norm.momentum, affine=False)
        self.p = 1.0
        self.affine, self.weight, self.bias = norm.affine, norm.weight, norm.bias
        for name, buffer in norm.named_buffers(recurse=False):
            setattr(self, name, buffer)
        for name, part in norm.named_children():
            self.add_module(name, part)

    def _check_input_dim(self, input: Tensor) -> None:
        """Any number of positions is right: ``(B, C, *positions)``."""

    def forward(self, input: Tensor) -> Tensor:
        """Maps ``(B, C, *positions)`` to the same shape."""
        x = self._normalised(input)
        for part in self.children():
            x = part(x)
        return x

    def _normalised(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 1:
            return super().forward(x)
        assert self.running_mean is not None and self.running_var is not None
        # Copies, since the batch changes them and the backward pass needs them as they were.
        mean, variance = self.running_mean.clone(), self.running_var.clone()
        moving = F.batch_norm(x, mean, variance, self.weight, self.bias, eps=self.eps)
        of_batch = super().forward(x)
        coins = torch.rand(self.num_features, device=x.device) < self.p
        return torch.where(coins.view(1, -1, *[1] * (x.ndim - 2)), of_batch, moving)


class StochNormTuning(Strategy):
    """All layers learn, ``CE(h(f(x)), y)``, with a `StochNorm` in place of every BatchNorm.

    The moving statistics are the pretrained network's at first: using them in training keeps
    more of it and keeps a small data set from being fitted by its batches' statistics.

    A backbone without BatchNorm, such as a ViT, trains as in full fine-tuning, with a warning.

    Batch: ``x``, ``y`` (B,).

    Args:
        p: Probability, in [0, 1], that a channel is normalised by the batch's statistics; 1 is
            full fine-tuning.

    References:
        [0] Kou et al., Stochastic normalization, NeurIPS 2020.
        [1] Transfer-Learning-Library, `stochnorm.py`.
    """

    feed: ClassVar[str] = "plain"
    regression: ClassVar[bool] = True
    controls: ClassVar[tuple[str, ...]] = ("finetune", "linear_probe", "from_scratch")
    limit: ClassVar[Mapping[str, Any]] = {"p": 1.0}
    layers: list[StochNorm]  # the network's own, not parts of the strategy

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError(f"p must be in [0, 1], got {p}")
        self.p = p

    def build(self, net: Net, spec: DataSpec) -> None:
        """Puts the layers in place."""
        self.layers = []
        for parent in list(net.modules()):
            for name, child in parent.named_children():
                if isinstance(child, _BatchNorm) and child.track_running_stats:
                    self.layers.append(StochNorm(child))
                    setattr(parent, name, self.layers[-1])

    def loss(self, net: Net, batch: Batch, progress: float) -> Losses:
        """Returns the term ``classification``."""
        # Only here: other steps of a pipeline have their BatchNorm.
        for layer in self.layers:
            layer.p = self.p
        losses = supervised(net, batch)
        for layer in self.layers:
            layer.p = 1.0
        return losses

    def diagnose(self, history: Sequence[Mapping[str, float]]) -> list[str]:
        """Warns when there is no BatchNorm to change."""
        if self.layers:
            return []
        return ["the backbone has no BatchNorm: strategy=stoch_norm trains it as finetune does"]
