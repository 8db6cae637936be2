"""Importance weighting: source examples count by how much like the target they are."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from tltool.backbones.base import Net
from tltool.losses.weighting import density_ratio
from tltool.strategies.base import Batch, DataSpec, Losses, Stage, StageData, Strategy
from tltool.strategies.example_weights import (
    ExampleWeights,
    domain_features,
    few_count,
    weighting_stages,
)

FOLDS = 5  # the default of scikit-learn's cross-validation
ITERATIONS = 1000  # at most: ten times scikit-learn's default, which 256 features exceed


class ImportanceWeighting(Strategy):
    """Training on the source, then on the source as if it were drawn like the target.

        mean_i w(x_i) CE(h(f(x_i)), y_i),   w(x) = p(target | x) / p(source | x) * n_s / n_t

    Between the stages a logistic regression on the features learns to tell the domains apart. The
    ratio of each example comes from one that was fitted without it, or it would only say how well
    it was remembered. Weights are clipped and have the mean 1.

    The weights are right where the domains share p(y | x) and the target lies where there are
    source examples. Where the classifier tells the domains apart almost surely, a few examples
    count and nothing is gained: the effective sample ``(sum w)^2 / (n sum w^2)`` is logged, and
    there is a warning when it is small. A network that fits all of its examples without error,
    as one trained for long does, is moved little by their weights [1].

    Batch: ``x``, ``y`` (B,), ``index`` (B,) of the source; target labels are never seen.

    Args:
        source_share: Part of the steps before the weights are fitted, in (0, 1).
        max_weight: The largest weight, at least 1, of a mean of 1; 1 weighs all the same. The
            effective sample is at least ``1 / max_weight``.
        smoothing: Weight of the penalty ``|v|^2 / 2`` on the domain classifier's coefficients v
            of standardised features, against the sum of its losses; above 0. More of it makes
            for more even weights.

    References:
        [0] Shimodaira, Improving predictive inference under covariate shift by weighting the
            log-likelihood function, 2000; Bickel, Brückner & Scheffer, Discriminative learning
            under covariate shift, JMLR 2009, who train both classifiers at once.
        [1] Byrd & Lipton, What is the effect of importance weighting in deep learning?, ICML 2019.
    """

    feed: ClassVar[str] = "pair"
    controls: ClassVar[tuple[str, ...]] = ("source_only", "train_on_target")

    def __init__(
        self, source_share: float = 0.5, max_weight: float = 10.0, smoothing: float = 1.0
    ) -> None:
        super().__init__()
        if not 0 < source_share < 1:
            raise ValueError(f"source_share must be above 0 and below 1, got {source_share}")
        if max_weight < 1:
            raise ValueError(f"max_weight must be at least 1, got {max_weight}")
        if smoothing <= 0:
            raise ValueError(f"smoothing must be above 0, got {smoothing}")
        self.source_share, self.max_weight, self.smoothing = source_share, max_weight, smoothing

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
            self.examples.fit(index, cross_fitted_ratio(source, target, self.smoothing))

    def loss(self, net: Net, batch: Batch, progress: float) -> Losses:
        """Returns the weighted term ``classification``."""
        return self.examples.loss(net, batch)

    def diagnose(self, history: Sequence[Mapping[str, float]]) -> list[str]:
        """Warns when few of the examples count."""
        return few_count(history)


def cross_fitted_ratio(source: Tensor, target: Tensor, smoothing: float) -> Tensor:
    """Returns the density ratio of each source example ``(S,)``, by classifiers of the others.

    Args:
        source: Features ``(S, D)``, at least two.
        target: Features ``(T, D)``, at least two.
        smoothing: See `ImportanceWeighting`.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    sizes = len(source), len(target)
    classifier = LogisticRegression(C=1.0 / smoothing, max_iter=ITERATIONS)
    folds = StratifiedKFold(min(FOLDS, *sizes), shuffle=True, random_state=0)
    logits: Any = cross_val_predict(
        make_pipeline(StandardScaler(), classifier),
        torch.cat([source, target]).numpy(),
        torch.tensor([0] * sizes[0] + [1] * sizes[1]).numpy(),
        cv=folds,
        method="decision_function",
    )
    return density_ratio(torch.from_numpy(logits[: sizes[0]]), *sizes)
