"""Optimisers and the schedule of their learning rate."""

import math
from collections.abc import Collection, Iterable, Iterator
from typing import Any, Literal, cast

import torch
from torch import Tensor
from torch.optim import Optimizer

Schedule = Literal["constant", "cosine", "inverse", "slanted"]

# Of the slanted triangle: Howard & Ruder, ULMFiT, ACL 2018, section 3.2.
CUT_FRAC = 0.1  # part of the training over which the rate rises
RATIO = 32  # of the highest rate to the lowest


def rate_factor(schedule: Schedule, warmup: float, progress: float) -> float:
    """Returns what multiplies the learning rate, in [0, 1].

    Args:
        schedule: ``constant``: 1. ``cosine``: ``(1 + cos(pi p)) / 2``. ``inverse``:
            ``(1 + 10 p)^-0.75``, the annealing of Ganin et al., JMLR 2016, section 5.2.2.
            ``slanted``: up from 1/32 to 1 over the first tenth, then down to 1/32, both linearly
            (Howard & Ruder, ACL 2018, equation 3).
        warmup: Part of the training over which the rate rises linearly from 0; ``slanted``, which
            rises by itself, has none.
        progress: Part p of the training that is done, in [0, 1].
    """
    if schedule == "slanted":
        rising = progress < CUT_FRAC
        height = progress / CUT_FRAC if rising else (1.0 - progress) / (1.0 - CUT_FRAC)
        return (1.0 + height * (RATIO - 1)) / RATIO
    if progress < warmup:
        return progress / warmup
    if schedule == "cosine":
        return 0.5 * (1.0 + math.cos(math.pi * progress))
    if schedule == "inverse":
        return float((1.0 + 10.0 * progress) ** -0.75)
    return 1.0


class OptimizerConfig:
    """An optimiser to be; the rate is a function of progress, so that a resumed run has it too.

    Args:
        kind: Class of torch.optim.
        lr: Learning rate at its highest.
        schedule: See `rate_factor`.
        warmup: See `rate_factor`.
        clip: Largest norm of the gradient; ``None`` for no limit.
        backbone_lr: Rate of a pretrained backbone, times ``lr``: what is new can learn faster, a
            discriminator above all. Random weights are new too.
        options: Further arguments of the class.
    """

    def __init__(
        self,
        kind: type[Optimizer],
        lr: float,
        schedule: Schedule,
        warmup: float,
        clip: float | None,
        backbone_lr: float,
        **options: Any,
    ) -> None:
        if not lr > 0:
            raise ValueError(f"optimizer.lr must be above 0, got {lr}")
        if not 0 <= warmup < 1:
            raise ValueError(f"optimizer.warmup must be in [0, 1), got {warmup}")
        if clip is not None and not clip > 0:
            raise ValueError(f"optimizer.clip must be above 0 or null, got {clip}")
        if not backbone_lr > 0:
            raise ValueError(f"optimizer.backbone_lr must be above 0, got {backbone_lr}")
        self.kind, self.lr, self.options = kind, lr, options
        self.schedule: Schedule = schedule
        self.warmup, self.clip, self.backbone_lr = warmup, clip, backbone_lr

    def create(
        self, groups: Iterable[dict[str, Any]], pretrained: Collection[Tensor] = ()
    ) -> Optimizer:
        """Returns the optimiser; ``lr_scale`` in a group multiplies its rate.

        Args:
            groups: What it trains.
            pretrained: Parameters whose rate ``backbone_lr`` multiplies, in whichever group.
        """
        if self.backbone_lr != 1.0:
            groups = self._apart(groups, {id(p) for p in pretrained})
        scaled = [{**g, "lr": self.lr * g.get("lr_scale", 1.0)} for g in groups]
        kind = cast(Any, self.kind)
        optimizer: Optimizer = kind(scaled, lr=self.lr, fused=True, **self.options)
        return optimizer

    def _apart(
        self, groups: Iterable[dict[str, Any]], slower: Collection[int]
    ) -> Iterator[dict[str, Any]]:
        """Yields the groups, with the parameters of these ids in groups of their own."""
        for group in groups:
            for factor, inside in ((1.0, False), (self.backbone_lr, True)):
                if some := [p for p in group["params"] if (id(p) in slower) == inside]:
                    scale = factor * group.get("lr_scale", 1.0)
                    yield {**group, "params": some, "lr_scale": scale}

    def set_rate(self, optimizer: Optimizer, progress: float) -> float:
        """Sets every group's rate for ``progress`` in [0, 1]; returns the rate before scaling."""
        rate = self.lr * rate_factor(self.schedule, self.warmup, progress)
        for group in optimizer.param_groups:
            group["lr"] = rate * group.get("lr_scale", 1.0)
        return rate


class SGD(OptimizerConfig):
    """Stochastic gradient descent with momentum."""

    def __init__(
        self,
        lr: float = 0.01,
        momentum: float = 0.9,
        nesterov: bool = False,
        weight_decay: float = 0.001,
        schedule: Schedule = "inverse",
        warmup: float = 0.0,
        clip: float | None = None,
        backbone_lr: float = 1.0,
    ) -> None:
        super().__init__(
            torch.optim.SGD,
            lr,
            schedule,
            warmup,
            clip,
            backbone_lr,
            momentum=momentum,
            nesterov=nesterov,
            weight_decay=weight_decay,
        )


class AdamW(OptimizerConfig):
    """Adam with decoupled weight decay; ``weight_decay=0`` is plain Adam."""

    def __init__(
        self,
        lr: float = 0.001,
        beta1: float = 0.9,
        beta2: float = 0.999,
        weight_decay: float = 0.01,
        schedule: Schedule = "cosine",
        warmup: float = 0.05,
        clip: float | None = None,
        backbone_lr: float = 1.0,
    ) -> None:
        super().__init__(
            torch.optim.AdamW,
            lr,
            schedule,
            warmup,
            clip,
            backbone_lr,
            betas=(beta1, beta2),
            weight_decay=weight_decay,
        )
