"""Weights of source examples are those of the target's density where the two overlap, and help."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from tltool.backbones.base import Backbone, Input, Net
from tltool.strategies.adaptation.importance_weighting import (
    ImportanceWeighting,
    cross_fitted_ratio,
)
from tltool.strategies.adaptation.kmm import KMM, matched_weights
from tltool.strategies.base import Batch, DataSpec

KINDS = [ImportanceWeighting, KMM]
SIZE = 1000
SHIFT = 0.5
SPEC = DataSpec(1, (), {"source": SIZE, "target": SIZE}, examples=50 + 2 * SIZE)


class Identity(Backbone):
    """Inputs ``(B, D)`` are the features."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.num_features = size

    def forward(self, x: Input) -> Input:
        return x


class Shifted:
    """The source is N(0, 1), the target N(1/2, 1), y = x^2 in both; their numbers are 50 on."""

    def __init__(self) -> None:
        quantiles = torch.special.ndtri((torch.arange(SIZE) + 0.5) / SIZE).unsqueeze(1)
        self.x = {"source": quantiles, "target": quantiles + SHIFT}
        index = torch.arange(50, 50 + 2 * SIZE)
        self.index = {"source": index[:SIZE], "target": index[SIZE:]}

    def examples(self, role: str | None = None) -> Iterator[Batch]:
        role = role or "source"
        for x, index in zip(self.x[role].split(250), self.index[role].split(250), strict=True):
            batch = {"x": x, "index": index}
            yield {**batch, "y": x[:, 0] ** 2} if role == "source" else batch

    def batch(self) -> Batch:
        """Returns all of the source as one batch of the second stage; there is no target to see."""
        x = self.x["source"]
        return {"source": {"x": x, "y": x[:, 0] ** 2, "index": self.index["source"]}}


def fitted(kind: Any, **options: Any) -> tuple[Any, Net, Shifted]:
    net, strategy, data = Net(Identity(1), 1), kind(**options), Shifted()
    strategy.build(net, SPEC)
    strategy.begin_stage(net, 0, data)
    assert torch.equal(strategy.examples.weights, torch.ones(SPEC.examples))
    strategy.stage = 1
    strategy.begin_stage(net, 1, data)
    return strategy, net, data


def slope(strategy: Any, net: Net, data: Shifted) -> float:
    """Returns that of the line that the strategy's loss fits."""
    optimizer = torch.optim.LBFGS(net.head.parameters(), max_iter=100)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss: Tensor = strategy.loss(net, data.batch(), 0.0).total
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    head: Any = net.head
    return float(head.weight.detach())


@pytest.mark.parametrize("kind", KINDS)
def test_a_line_is_fitted_to_where_the_target_is(kind: Any) -> None:
    """By hand: the best line for x^2 under N(mu, 1) has slope cov(x, x^2) = 2 mu."""
    assert slope(*fitted(kind)) == pytest.approx(2 * SHIFT, abs=0.1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_largest_weight_of_one_is_training_without_weights(kind: Any) -> None:
    assert slope(*fitted(kind, max_weight=1.0)) == pytest.approx(0.0, abs=0.01)


@pytest.mark.parametrize("kind", KINDS)
def test_weights_are_the_source_s_own_and_travel_with_the_run(kind: Any) -> None:
    strategy, net, data = fitted(kind)
    of_source = strategy.examples.weights[data.index["source"]]
    assert of_source.mean().item() == pytest.approx(1, abs=1e-5)
    assert of_source.max() > 2 and of_source.max() <= 10
    others = torch.ones(SPEC.examples, dtype=torch.bool)
    others[data.index["source"]] = False
    assert (strategy.examples.weights[others] == 1).all()
    resumed = kind()
    resumed.build(net, SPEC)
    resumed.load_state_dict(strategy.state_dict())
    assert torch.equal(resumed.examples.weights, strategy.examples.weights)


@pytest.mark.parametrize("kind", KINDS)
def test_the_effective_sample_is_logged_once_there_are_weights(kind: Any) -> None:
    strategy, net, data = fitted(kind)
    logged = strategy.loss(net, data.batch(), 0.0).metrics["effective_sample"]
    w = strategy.examples.weights[data.index["source"]]
    torch.testing.assert_close(logged, w.sum() ** 2 / (SIZE * w.square().sum()))
    assert "effective_sample" not in strategy.loss(net, data.batch()["source"], 0.0).metrics


def test_the_ratio_is_that_of_the_densities() -> None:
    data = Shifted()
    source, target = data.x["source"].double(), data.x["target"].double()
    found = cross_fitted_ratio(source, target[::2], smoothing=1.0)
    true = (SHIFT * source[:, 0] - SHIFT**2 / 2).exp()  # N(1/2, 1) over N(0, 1)
    # Half as many of the target make no difference: n_s / n_t takes it out.
    assert (found / true).log().abs().median() < 0.2
    assert torch.corrcoef(torch.stack([found.log(), true.log()]))[0, 1] > 0.99


def test_a_classifier_does_not_judge_the_examples_that_it_remembers() -> None:
    """More features than examples: of its own ones a classifier is sure, be they alike or not."""
    torch.manual_seed(0)
    source, target = torch.randn(60, 200).double(), torch.randn(60, 200).double()
    found = cross_fitted_ratio(source, target, smoothing=1.0)
    assert (found > 1).double().mean() > 0.25


def test_blocks_are_each_matched_to_the_whole_target() -> None:
    data = Shifted()
    source, target = data.x["source"].double(), data.x["target"].double()
    whole = matched_weights(source, target, 10.0, block=SIZE)
    blocks = matched_weights(source, target, 10.0, block=150)
    for weights in (whole, blocks):
        mean = (weights * source[:, 0]).sum() / weights.sum()
        assert mean.item() == pytest.approx(target.mean().item(), abs=0.1)
    assert not torch.equal(whole, blocks)


@pytest.mark.parametrize("kind", KINDS)
def test_domains_that_hardly_overlap_are_warned_of(kind: Any) -> None:
    rows = [{"train/loss": 1.0}, {"train/effective_sample": 0.1284}]
    assert kind().diagnose(rows[:1]) == []
    assert kind().diagnose([*rows, {"train/effective_sample": 0.6}]) == []
    (warning,) = kind().diagnose(rows)
    assert "the weights leave 12.8% of the source's examples" in warning


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"source_share": 1.0}, "source_share must be above 0 and below 1, got 1.0"),
        ({"max_weight": 0.5}, "max_weight must be at least 1, got 0.5"),
    ],
)
def test_wrong_options_are_refused(kind: Any, options: dict[str, float], line: str) -> None:
    with pytest.raises(ValueError, match=line):
        kind(**options)


def test_wrong_options_of_one_of_them_are_refused() -> None:
    with pytest.raises(ValueError, match="smoothing must be above 0, got 0"):
        ImportanceWeighting(smoothing=0)
    with pytest.raises(ValueError, match="block must be at least 2, got 1"):
        KMM(block=1)
