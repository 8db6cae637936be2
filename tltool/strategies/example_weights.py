"""Weights of the source's examples, fitted between two stages and learned with in the second."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from tltool.backbones.base import Net
from tltool.losses.labels import label_loss, label_metrics
from tltool.losses.weighting import bounded_weights, effective_sample
from tltool.strategies.base import Batch, Losses, Stage, StageData

METRIC = "effective_sample"
# Below it the gradient is as noisy as with a batch of a quarter of the size.
FEW = 0.25


class ExampleWeights(nn.Module):
    """A weight of each source example, by its ``index``; all of them 1 until `fit`.

    Args:
        examples: Every ``index`` is below it.
        largest: No weight is above it, at least 1; their mean is 1.
    """

    weights: Tensor
    effective: Tensor

    def __init__(self, examples: int, largest: float) -> None:
        super().__init__()
        self.largest = largest
        self.register_buffer("weights", torch.ones(examples))
        self.register_buffer("effective", torch.ones(()))

    def fit(self, index: Tensor, weights: Tensor) -> None:
        """Takes weights ``(N,)`` above 0, of any mean, of the examples with these numbers."""
        bounded = bounded_weights(weights, self.largest)
        self.weights[index] = bounded.to(self.weights)
        self.effective.copy_(effective_sample(bounded))

    def loss(self, net: Net, batch: Batch) -> Losses:
        """Returns ``mean_i w_i CE(h(f(x_i)), y_i)``, and the effective sample where it has one.

        Batch: the feed `plain`, or `pair`, of which the target is not looked at.
        """
        source = batch.get("source", batch)
        outputs, y = net(source["x"]), source["y"]
        label = label_loss(outputs, y, self.weights[source["index"]])
        metrics = label_metrics(outputs, y)
        if "source" in batch:
            metrics[METRIC] = self.effective
        return Losses({"classification": label}, metrics)


def weighting_stages(source_share: float) -> list[Stage]:
    """Returns a stage on the source as it is, and one after which the weights are fitted.

    The second one's feed is `pair`, since `fit` takes the features of the target too.
    """
    return [
        Stage("source", share=source_share, feed="plain"),
        Stage("weighted", share=1.0 - source_share),
    ]


def few_count(history: Sequence[Mapping[str, float]]) -> list[str]:
    """Returns a warning where few of the source's examples count; see `Strategy.diagnose`."""
    key = f"train/{METRIC}"
    found = [row[key] for row in history if key in row]
    if not found or found[-1] >= FEW:
        return []
    return [
        f"the weights leave {found[-1]:.1%} of the source's examples (effective sample size): the "
        "features of the domains hardly overlap, which weights cannot mend; try strategy=dann"
    ]


def domain_features(net: Net, data: StageData, role: str) -> tuple[Tensor, Tensor]:
    """Returns the features ``(N, D)`` of a domain's training examples, float64, and their numbers.

    Both are on the CPU: not every accelerator has float64.
    """
    batches = [(net.features(one["x"]).double().cpu(), one["index"]) for one in data.examples(role)]
    features, index = zip(*batches, strict=True)
    return torch.cat(features), torch.cat(index).cpu()
