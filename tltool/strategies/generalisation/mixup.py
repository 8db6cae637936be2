"""Mixup between sources."""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.distributions import Beta

from tltool.backbones.base import Net
from tltool.losses.generalisation import mixed_cross_entropy
from tltool.strategies.base import Batch, DataSpec, Losses, Strategy
from tltool.strategies.supervised import supervised


class Mixup(Strategy):
    """Learns mixtures of images of two sources: ``CE`` of ``s x + (1 - s) x'`` against both labels.

        mean_i s CE(h(f(s x_i + (1 - s) x'_i)), y_i) + (1 - s) CE(h(f(s x_i + (1 - s) x'_i)), y'_i)

    In each step the sources are put in a random circle; the images of each are mixed with those of
    the next, with one ``s ~ Beta(alpha, alpha)`` for each such pair. Nothing unmixed is learned.

    Batch: ``x`` images, ``y`` (B,), with as many examples of every source, one source after the
    other; the target is never read.

    Args:
        alpha: Of the Beta distribution, from 0 on: small ones mostly leave one of the two images
            as it is; 1 takes every mixture equally often; 0 mixes nothing.

    References:
        [0] Zhang et al., mixup: beyond empirical risk minimization, ICLR 2018, which mixes a batch
            with itself in another order.
        [1] DomainBed, `Mixup`, which mixes sources, as here, with the same alpha.
    """

    feed: ClassVar[str] = "sources"
    modalities: ClassVar[tuple[str, ...]] = ("image",)
    controls: ClassVar[tuple[str, ...]] = ("erm",)
    needs_sources: ClassVar[bool] = True
    limit: ClassVar[Mapping[str, Any]] = {"alpha": 0.0}
    limit_of: ClassVar[str] = "erm"

    def __init__(self, alpha: float = 0.2) -> None:
        super().__init__()
        if alpha < 0:
            raise ValueError(f"alpha must not be negative, got {alpha}")
        self.alpha, self.sources = alpha, 1

    def build(self, net: Net, spec: DataSpec) -> None:
        """Takes the number of sources."""
        self.sources = len(spec.sources)

    def loss(self, net: Net, batch: Batch, progress: float) -> Losses:
        """Returns the term ``mixup``; ``classification`` where nothing is mixed."""
        if self.alpha == 0:
            return supervised(net, batch)
        x, y = batch["x"], batch["y"]
        size = len(y) // self.sources
        partner = next_in_circle(self.sources, y.device)
        # Checking the arguments would wait for the device.
        alphas = torch.full((self.sources,), self.alpha, device=y.device)
        share = Beta(alphas, alphas, validate_args=False).sample()
        others = (partner.unsqueeze(1) * size + torch.arange(size, device=y.device)).flatten()
        of_each = share.repeat_interleave(size)
        x = torch.lerp(x[others], x, of_each.view(-1, *[1] * (x.ndim - 1)))
        return Losses({"mixup": mixed_cross_entropy(net(x), y, y[others], of_each)})


def next_in_circle(number: int, device: torch.device) -> Tensor:
    """Returns which one comes after each of so many in a random circle ``(number,)``."""
    order = torch.randperm(number, device=device)
    return torch.empty_like(order).scatter_(0, order, order.roll(-1))
