"""Deep joint distribution optimal transport."""

from collections.abc import Mapping
from typing import Any, ClassVar

from tltool.backbones.base import Net
from tltool.losses.transport import joint_cost, optimal_plan
from tltool.strategies.base import Losses
from tltool.strategies.pairs import BatchNorm, Pair, PairStrategy


class DeepJDOT(PairStrategy):
    """Source examples and their labels are moved onto target examples and what is predicted there.

    Minimises ``CE(h(f(x_s)), y_s) + sum_ij P_ij C_ij`` over backbone f and head h, with

        C_ij = feature_weight |f(x_si) - f(x_tj)|^2 + label_weight CE(h(f(x_tj)), y_si)
        P = argmin <P, C>

    over the plans between the batch's two domains, all examples weighing the same. P is exact,
    computed anew in every step on the CPU, and a constant for the gradient.

    In [1] P is of the network in eval mode, and of the squared distance between ``y_s`` and the
    softmax in place of CE; batches of the source hold all classes equally often.

    Batch: ``source.x``, ``source.y`` (B,), ``target.x``; target labels are never seen.

    Args:
        feature_weight: alpha in [0], at least 0. The squared distance grows with the number of
            features, so it is small; the default is that of [1] for digits, in batches of 500.
        label_weight: lambda in [0], at least 0; the default is that of [1] too. A large one teaches
            wrong labels before the features fit. With both 0 it trains on the source alone.
        batch_norm: ``joint``: one forward pass over both domains, normalised by the mixture;
            ``separate``: one pass each.

    References:
        [0] Damodaran et al., DeepJDOT: deep joint distribution optimal transport for unsupervised
            domain adaptation, ECCV 2018.
        [1] https://github.com/bbdamodaran/deepJDOT.
    """

    needs: ClassVar[tuple[str, ...]] = ("ot",)
    limit: ClassVar[Mapping[str, Any]] = {
        "feature_weight": 0.0,
        "label_weight": 0.0,
        "batch_norm": "separate",
    }

    def __init__(
        self,
        feature_weight: float = 0.001,
        label_weight: float = 0.0001,
        batch_norm: BatchNorm = "joint",
    ) -> None:
        super().__init__()
        if feature_weight < 0 or label_weight < 0:
            raise ValueError(
                "feature_weight and label_weight must not be negative, got "
                f"{feature_weight} and {label_weight}"
            )
        self.feature_weight, self.label_weight = feature_weight, label_weight
        self.batch_norm: BatchNorm = batch_norm

    def transfer(self, net: Net, pair: Pair, progress: float) -> Losses:
        """Returns the term ``transport``."""
        weights = self.feature_weight, self.label_weight
        cost = joint_cost(pair.source, pair.y, pair.target, pair.target_logits, *weights)
        return Losses({"transport": (optimal_plan(cost) * cost).sum()})
