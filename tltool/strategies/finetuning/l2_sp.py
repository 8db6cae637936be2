"""L2-SP: weights decay towards their starting point in place of zero."""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from tltool.backbones.base import Net
from tltool.losses.regularisation import flat, l2, l2_sp
from tltool.strategies.base import Batch, DataSpec, Losses, StageData, Strategy
from tltool.strategies.supervised import supervised


class L2SP(Strategy):
    """All layers learn, the backbone tied to the weights w0 that it started from.

        CE(h(f(x)), y) + alpha/2 * |w_f - w0|^2 + beta/2 * |w_h|^2

    over the weights w_f of the backbone f and w_h of the head h. Each penalty is in place of the
    optimiser's weight decay of its part; where its weight is 0 that decay stays.

    Batch: ``x``, ``y`` (B,).

    Args:
        alpha: Weight of the distance from the start, at least 0.
        beta: Weight of the head's norm, at least 0. The default is the weight decay of the
            optimisers here, so that only the backbone's decay differs from full fine-tuning; the
            paper has 0.01.

    References:
        [0] Li et al., Explicit inductive bias for transfer learning with convolutional networks,
            ICML 2018.
        [1] Transfer-Learning-Library, `delta.py`; it has 0.01 for both weights.
    """

    feed: ClassVar[str] = "plain"
    regression: ClassVar[bool] = True
    controls: ClassVar[tuple[str, ...]] = ("finetune", "linear_probe", "from_scratch")
    limit: ClassVar[Mapping[str, Any]] = {"alpha": 0.0, "beta": 0.0}
    start: Tensor

    def __init__(self, alpha: float = 0.01, beta: float = 0.001) -> None:
        super().__init__()
        if alpha < 0 or beta < 0:
            raise ValueError(f"alpha and beta must not be negative, got {alpha} and {beta}")
        self.alpha, self.beta = alpha, beta

    def build(self, net: Net, spec: DataSpec) -> None:
        """Makes room for the starting point."""
        self.register_buffer("start", flat(p.detach() for p in net.backbone.parameters()))

    @torch.no_grad()
    def begin_stage(self, net: Net, stage: int, data: StageData) -> None:
        """Takes the starting point: in a pipeline, what the step before left."""
        self.start.copy_(flat(net.backbone.parameters()))

    def param_groups(self, net: Net, stage: int) -> list[dict[str, Any]]:
        """Returns backbone and head, without the optimiser's decay where a penalty takes over."""
        parts = ((net.backbone, self.alpha), (net.head, self.beta))
        return [
            {"params": list(part.parameters()), **({"weight_decay": 0.0} if weight > 0 else {})}
            for part, weight in parts
        ]

    def loss(self, net: Net, batch: Batch, progress: float) -> Losses:
        """Returns the terms ``classification``, ``starting_point`` and ``head``."""
        plain = supervised(net, batch)
        penalties = {
            "starting_point": self.alpha * l2_sp(flat(net.backbone.parameters()), self.start),
            "head": self.beta * l2(flat(net.head.parameters())),
        }
        return Losses({**plain.terms, **penalties}, plain.metrics)
