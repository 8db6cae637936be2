"""Clusters are found without labels, and named by the source's."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from tltool.backbones.base import Backbone, Net
from tltool.data.preprocessing import Preprocessing
from tltool.strategies.adaptation.transfer_clustering import (
    TransferClustering,
    adapted_centres,
    cluster_of_class,
    source_centres,
)
from tltool.strategies.base import Batch, DataSpec

SPEC = DataSpec(3, ("a", "b", "c"), {"source": 60, "target": 60})


class Points(Backbone):
    """Points of the plane are their own features."""

    def __init__(self) -> None:
        super().__init__()
        self.num_features = 2
        self.preprocessing = Preprocessing()

    def forward(self, x: Tensor) -> Tensor:
        return x


class Clouds:
    """Three clouds in a triangle; the target's are elsewhere, and larger."""

    def __init__(self) -> None:
        self.y = torch.arange(60) % 3
        corners = torch.tensor([[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]])[self.y]
        noise = torch.randn(2, 60, 2, generator=torch.Generator().manual_seed(0))
        self.source = corners + 0.3 * noise[0]
        self.target = 3.0 * (corners + 0.3 * noise[1]) + 20.0

    def examples(self, role: str | None = None) -> Iterator[Batch]:
        yield {"x": self.target} if role == "target" else {"x": self.source, "y": self.y}


@pytest.mark.parametrize("relevance", [0.0, 16.0])
def test_the_targets_clouds_are_found_and_named(relevance: float) -> None:
    data, net = Clouds(), Net(Points(), 3)
    strategy = TransferClustering(relevance)
    strategy.build(net, SPEC)
    strategy.end_stage(net, 0, data)
    assert torch.equal(strategy.predict(net, data.target).argmax(1), data.y)


def test_the_head_is_the_nearest_centre() -> None:
    """Without a prior the logits are those of the class means of standardised targets."""
    data, net = Clouds(), Net(Points(), 3)
    strategy = TransferClustering(relevance=0.0)
    strategy.build(net, SPEC)
    strategy.end_stage(net, 0, data)
    z = (data.target - data.target.mean(0)) / data.target.std(0, unbiased=False)
    means = torch.stack([z[data.y == c].mean(0) for c in range(3)])
    expected = -torch.cdist(z, means).square() + z.square().sum(1, keepdim=True)
    torch.testing.assert_close(strategy.predict(net, data.target), expected, atol=1e-3, rtol=1e-3)


def test_labels_are_but_names() -> None:
    """Other labels of the source permute the head's rows, and change nothing else."""
    data, heads = Clouds(), []
    for names in ([0, 1, 2], [2, 0, 1]):
        net, strategy = Net(Points(), 3), TransferClustering()
        renamed = Clouds()
        renamed.y = torch.tensor(names)[data.y]
        strategy.build(net, SPEC)
        strategy.end_stage(net, 0, renamed)
        heads.append(net.head.weight.detach())
    torch.testing.assert_close(heads[0], heads[1][[2, 0, 1]])


def test_a_round_by_hand() -> None:
    features, prior = torch.tensor([[1.0], [2.0], [11.0]]), torch.tensor([[0.0], [10.0], [100.0]])
    # (1 + 2 + 2 * 0) / (2 + 2), (11 + 2 * 10) / (1 + 2), and nobody came to the third
    found = adapted_centres(features, prior, relevance=2.0)
    torch.testing.assert_close(found, torch.tensor([[0.75], [31 / 3], [100.0]]))
    found = adapted_centres(features, prior, relevance=0.0)
    torch.testing.assert_close(found, torch.tensor([[1.5], [11.0], [100.0]]))


def test_rounds_never_raise_what_they_minimise() -> None:
    data, prior = Clouds(), torch.randn(3, 2, generator=torch.Generator().manual_seed(3)) * 9 + 25

    def cost(centres: Tensor) -> float:
        nearest = torch.cdist(data.target, centres).square().min(1).values.sum()
        return float(nearest + 5.0 * (centres - prior).square().sum())

    found = adapted_centres(data.target, prior, relevance=5.0)
    assert cost(found) < cost(prior)
    # It is a fixed point: its own assignments give it back.
    a = torch.cdist(data.target, found).argmin(1)
    again = [(data.target[a == k].sum(0) + 5 * prior[k]) / ((a == k).sum() + 5) for k in range(3)]
    torch.testing.assert_close(found, torch.stack(again))


def test_a_prior_worth_everything_is_kept() -> None:
    prior = torch.tensor([[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]])
    torch.testing.assert_close(adapted_centres(Clouds().target, prior, 1e9), prior)


def test_names_are_one_to_one_even_where_a_majority_is_not() -> None:
    # Cluster 0 holds most of both classes 0 and 1; class 0 gains more by it.
    assigned, y = torch.tensor([0, 0, 0, 0, 0, 1]), torch.tensor([0, 0, 0, 1, 1, 1])
    assert cluster_of_class(assigned, y, 2).tolist() == [0, 1]
    assert cluster_of_class(torch.tensor([2, 2, 0, 1]), torch.tensor([0, 0, 1, 2]), 3).tolist() == [
        2,
        0,
        1,
    ]


def test_the_sources_centres_are_the_same_every_time() -> None:
    first = source_centres(Clouds().source, 3)
    torch.rand(5)
    assert torch.equal(first, source_centres(Clouds().source, 3))
    assert (
        torch.cdist(first, torch.tensor([[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]])).min(0)[0].max() < 1
    )


def test_frozen_trains_the_head_alone_on_cached_features() -> None:
    net, strategy = Net(Points(), 3), TransferClustering(frozen=True)
    assert strategy.stages()[0].cached_features
    assert strategy.param_groups(net, 0)[0]["params"] == list(net.head.parameters())
    assert not TransferClustering().stages()[0].cached_features


def test_wrong_options_are_refused() -> None:
    with pytest.raises(ValueError, match="relevance must not be negative, got -1"):
        TransferClustering(relevance=-1)
    with pytest.raises(ValueError, match="most must be at least 2, got 1"):
        TransferClustering(most=1)
    with pytest.raises(ValueError, match="3 clusters of the source need as many examples"):
        TransferClustering(most=2).build(Net(Points(), 3), SPEC)
