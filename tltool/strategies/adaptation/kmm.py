"""Kernel mean matching: weights under which the source's mean embedding is the target's."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor

from tltool.backbones.base import Net
from tltool.losses.metric import minus_squared_distances
from tltool.losses.weighting import kernel_mean_matching
from tltool.strategies.base import Batch, DataSpec, Losses, Stage, StageData, Strategy
from tltool.strategies.example_weights import (
    ExampleWeights,
    domain_features,
    few_count,
    weighting_stages,
)

SMALLEST = 1e-6  # width of the kernel, where half of the examples have the same features


class KMM(Strategy):
    """Training on the source, then on the source with weights that match it to the target.

        mean_i w_i CE(h(f(x_i)), y_i),
        w = argmin |1/n sum_i w_i phi(f(x_i)) - 1/m sum_j phi(f(t_j))|^2
            with 0 <= w_i <= max_weight, |mean w - 1| <= (sqrt(n) - 1) / sqrt(n)

    Between the stages this quadratic programme is solved on the features, under a Gaussian kernel
    as wide as the median distance. No density is estimated. Afterwards the mean is made 1. What is
    said of `importance_weighting` holds here: the weights are right where the domains share
    p(y | x) and overlap, and the effective sample is logged.

    The programme takes time and memory that grow with n^2. A larger source is therefore cut, at
    random, into blocks of about ``block`` examples, each matched to the whole target by itself.

    Batch: ``x``, ``y`` (B,), ``index`` (B,) of the source; target labels are never seen.

    Args:
        source_share: Part of the steps before the weights are fitted, in (0, 1).
        max_weight: The largest weight, at least 1, of a mean of 1; 1 weighs all the same. The
            effective sample is at least ``1 / max_weight``.
        block: Source examples that are matched together, at least 2. 2000 take 32 MB a matrix.

    References:
        [0] Huang et al., Correcting sample selection bias by unlabeled data, NeurIPS 2006, with a
            largest weight of 1000; Gretton et al., Covariate shift by kernel mean matching, 2009.
    """

    feed: ClassVar[str] = "pair"
    controls: ClassVar[tuple[str, ...]] = ("source_only", "train_on_target")

    def __init__(
        self, source_share: float = 0.5, max_weight: float = 10.0, block: int = 2000
    ) -> None:
        super().__init__()
        if not 0 < source_share < 1:
            raise ValueError(f"source_share must be above 0 and below 1, got {source_share}")
        if max_weight < 1:
            raise ValueError(f"max_weight must be at least 1, got {max_weight}")
        if block < 2:
            raise ValueError(f"block must be at least 2, got {block}")
        self.source_share, self.max_weight, self.block = source_share, max_weight, block

    def build(self, net: Net, spec: DataSpec) -> None:
        """Makes room for the weights."""
        self.examples = ExampleWeights(spec.examples, self.max_weight)

    def stages(self) -> Sequence[Stage]:
        """Returns the stage before the weights, and the one with them."""
        return weighting_stages(self.source_share)

    @torch.no_grad()
    def begin_stage(self, net: Net, stage: int, data: StageData) -> None:
        """Fits the weights before the second stage."""
        if stage == 1:
            source, index = domain_features(net, data, "source")
            target, _ = domain_features(net, data, "target")
            self.examples.fit(index, matched_weights(source, target, self.max_weight, self.block))

    def loss(self, net: Net, batch: Batch, progress: float) -> Losses:
        """Returns the weighted term ``classification``."""
        return self.examples.loss(net, batch)

    def diagnose(self, history: Sequence[Mapping[str, float]]) -> list[str]:
        """Warns when few of the examples count."""
        return few_count(history)


def matched_weights(source: Tensor, target: Tensor, bound: float, block: int) -> Tensor:
    """Returns a weight of each source example ``(S,)``; see `KMM`.

    Args:
        source: Features ``(S, D)``, float64.
        target: Features ``(T, D)``, float64.
        bound: The largest weight.
        block: Examples that are matched together.
    """
    order = torch.randperm(len(source), generator=torch.Generator().manual_seed(0))
    blocks = order.chunk(-(-len(source) // block))
    sample = torch.cat([source[blocks[0]], target[: len(blocks[0])]])
    width = torch.pdist(sample).median().clamp_min(SMALLEST)
    weights = torch.empty(len(source), dtype=source.dtype)
    for rows in blocks:
        kernel = _gaussian(source[rows], source[rows], width)
        # The mean over the target's examples a block at a time, so that no kernel is larger.
        chunks = target.chunk(-(-len(target) // block))
        sums = [_gaussian(source[rows], some, width).sum(dim=1) for some in chunks]
        mean = torch.stack(sums).sum(dim=0) / len(target)
        slack = 1.0 - len(rows) ** -0.5  # (sqrt(n) - 1) / sqrt(n) [0]
        weights[rows] = kernel_mean_matching(kernel, mean, bound, slack)
    return weights


def _gaussian(a: Tensor, b: Tensor, width: Tensor) -> Tensor:
    return torch.exp(minus_squared_distances(a, b).clamp_max(0.0) / (2.0 * width**2))
