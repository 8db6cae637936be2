"""What methods share that are fitted on features when a stage is over."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from tltool.backbones.base import Net
from tltool.losses.labels import label_loss
from tltool.losses.regularisation import flat, l2
from tltool.strategies.base import StageData

SEED = 0  # of the drawing of examples: the same ones in every run
ITERATIONS = 200  # of L-BFGS at most, on all features at once; it stops before where it is there


@torch.no_grad()
def gather(
    net: Net, data: StageData, role: str, most: int | None = None
) -> tuple[Tensor, Tensor | None]:
    """Returns features ``(N, D)``, float32, and labels of a role's training examples.

    Args:
        net: In eval mode.
        data: Of the stage.
        role: Such as ``source``, or ``target``, which has no labels here.
        most: So many at most, drawn at random; the same ones in every run.
    """
    parts = [(net.features(b["x"]).float(), b.get("y")) for b in data.examples(role)]
    features = torch.cat([f for f, _ in parts])
    labels = [y for _, y in parts if y is not None]
    chosen = torch.arange(len(features))
    if most is not None and len(features) > most:
        drawn = torch.randperm(len(features), generator=torch.Generator().manual_seed(SEED))
        chosen = drawn[:most].sort().values
    chosen = chosen.to(features.device)
    return features[chosen], torch.cat(labels)[chosen] if labels else None


class Standardised(NamedTuple):
    """Features with mean 0 and variance 1 in every column; a constant column is 0.

    Args:
        z: ``(features - mean) / scale``, ``(N, D)``.
        mean: ``(D,)``.
        scale: ``(D,)``.
    """

    z: Tensor
    mean: Tensor
    scale: Tensor

    @classmethod
    def of(cls, features: Tensor) -> "Standardised":
        """Standardises features ``(N, D)``."""
        mean, scale = features.mean(dim=0), features.std(dim=0, unbiased=False)
        scale = torch.where(scale > 0, scale, 1.0)
        return cls((features - mean) / scale, mean, scale)

    @torch.no_grad()
    def put(self, linear: nn.Linear, weight: Tensor, bias: Tensor) -> None:
        """Makes ``linear`` give for features what ``W z + b`` gives for z."""
        linear.weight.copy_(weight / self.scale)
        linear.bias.copy_(bias - linear.weight @ self.mean)


def fit_linear(linear: nn.Linear, features: Tensor, y: Tensor, decay: float) -> None:
    """Fits a linear layer to labels, whatever it was before.

    Minimises ``mean_i CE(W z_i + b, y_i) + decay/2 |W|^2``, which is multinomial logistic
    regression, or with the squared error, for labels that are numbers, ridge regression; z are the
    standardised features. A class without examples gets the smallest logit.

    Args:
        linear: ``(B, D)`` to ``(B, C)``.
        features: ``(N, D)``, without gradients.
        y: ``(N,)`` of int64, or numbers.
        decay: At least 0; above 0 there is one best layer even for classes that lie apart.
    """
    standardised = Standardised.of(features)
    fitted = nn.Linear(features.shape[1], linear.out_features, device=features.device)
    nn.init.zeros_(fitted.weight)  # the best layer is the same from any start
    nn.init.zeros_(fitted.bias)
    optimizer = torch.optim.LBFGS(
        fitted.parameters(), max_iter=ITERATIONS, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = label_loss(fitted(standardised.z), y) + decay * l2(flat([fitted.weight]))
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    with torch.enable_grad():
        optimizer.step(closure)  # type: ignore[no-untyped-call]
    standardised.put(linear, fitted.weight, fitted.bias)


def linear_head(net: Net, strategy: str) -> nn.Linear:
    """Returns the network's head, which must be linear for a closed form to be put into it."""
    if not isinstance(net.head, nn.Linear):
        raise ValueError(f"strategy={strategy} wants a linear head, got {type(net.head).__name__}")
    return net.head
