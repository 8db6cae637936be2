"""Episodes of classes that were not trained on, scored by what strategies make of features."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tltool.backbones.base import Net
from tltool.data.preprocessing import Preprocessing
from tltool.data.table import Table
from tltool.errors import UserError
from tltool.evaluation.base import Subject
from tltool.evaluation.episodes import EPISODES, Episodes, interval
from tltool.losses.metric import nearest_mean
from tltool.strategies.base import DataSpec, Strategy

FEW = 40
FIRST = "source_test/5way_1shot_accuracy"


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Episodes are cheap, but not 600 of them in every test."""
    assert EPISODES == 600
    monkeypatch.setattr("tltool.evaluation.episodes.EPISODES", FEW)


class Scale(nn.Module):
    """A backbone of one weight; it counts the examples that it sees."""

    num_features = 3
    preprocessing = Preprocessing()

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))
        self.seen = 0

    def forward(self, x: Tensor) -> Tensor:
        self.seen += len(x)
        return self.weight * x


def subject(
    classes: int = 25,
    each: int = 20,
    noise: float = 0.0,
    strategy: Strategy | None = None,
    seed: int = 0,
    **splits: np.ndarray,
) -> Subject:
    """Classes are points in space, their examples the same points, or some way from them."""
    torch.manual_seed(0)
    y = torch.arange(classes).repeat_interleave(each)
    x = torch.randn(classes, 3)[y] + noise * torch.randn(len(y), 3)
    y = torch.cat([torch.tensor([classes, classes + 1]), y])  # two classes that are trained on
    x = torch.cat([torch.zeros(2, 3), x])
    rows = {"train": np.arange(2), "test": np.arange(2, len(y)), **splits}
    names = tuple(map(str, range(classes + 2)))
    table = Table(x, y, {("source", split): of for split, of in rows.items()}, names)
    net = Net(Scale(), len(names))  # type: ignore[arg-type]

    def batches(some: Any) -> Iterator[tuple[Tensor, Tensor]]:
        for part in np.array_split(some, 2):
            yield table.take(part)

    @contextmanager
    def scoring() -> Iterator[None]:
        with torch.inference_mode():
            yield

    spec = DataSpec(len(names), names, {"source": 2})
    return Subject(net, strategy or Strategy(), table, spec, seed, batches, scoring)


class Guess(Strategy):
    """Says what it feels like."""

    def classify(self, net: Net, support: Any, query: Any) -> Tensor:
        return torch.randn(len(query), int(support["y"].max()) + 1)


class Adapts(Strategy):
    """Learns the weight of its backbone within each episode, and puts it back."""

    adapts_in_episode: ClassVar[bool] = True

    def classify(self, net: Net, support: Any, query: Any) -> Tensor:
        way = int(support["y"].max()) + 1
        features = net.features(support["x"])
        loss = nearest_mean(features, support["y"], features, way).logsumexp(1).mean()
        (gradient,) = torch.autograd.grad(loss, [net.backbone.weight])  # type: ignore[list-item]
        weight = (net.backbone.weight - 0.0 * gradient).detach()  # type: ignore[operator]
        shown, asked = weight * support["x"], weight * query
        return nearest_mean(shown, support["y"], asked, way)


def test_half_interval_by_hand() -> None:
    # mean 0.5, deviations ±0.5: s = sqrt(4 * 0.25 / 3); 1.96 s / 2
    assert interval(np.array([0.0, 1.0, 0.0, 1.0])) == pytest.approx(1.96 * (1 / 3) ** 0.5 / 2)


def test_perfect_features_are_never_wrong() -> None:
    scores = Episodes(subject()).final()
    names = [f"source_test/{w}way_{k}shot_accuracy" for w, k in ((5, 1), (5, 5), (20, 1), (20, 5))]
    assert list(scores.units) == names
    assert all(len(units) == FEW for units in scores.units.values())
    assert list(scores.metrics) == [n for name in names for n in (name, f"{name}_ci95")]
    assert [scores.metrics[name] for name in names] == [1.0] * 4
    assert [scores.metrics[f"{name}_ci95"] for name in names] == [0.0] * 4
    (grid,) = scores.grids
    assert grid.rows == ("5-way", "20-way")
    assert grid.columns == ("1-shot", "1-shot ± 95 %", "5-shot", "5-shot ± 95 %")
    assert grid.values == ((1.0, 0.0, 1.0, 0.0),) * 2


def test_guessing_is_right_once_in_as_many_times_as_there_are_ways() -> None:
    scores = Episodes(subject(strategy=Guess())).final()
    for name, units in scores.units.items():
        chance = 1 / 20 if "20way" in name else 1 / 5
        # So many episodes of 15 queries a way; 4 standard errors of their mean.
        wide = 4 * (chance * (1 - chance) / (FEW * 15 / chance)) ** 0.5
        assert scores.metrics[name] == pytest.approx(chance, abs=wide)
        assert scores.metrics[f"{name}_ci95"] < wide
        assert units.mean() == scores.metrics[name]


def test_runs_of_any_seed_are_scored_on_the_same_episodes() -> None:
    one, other = (Episodes(subject(noise=0.5, seed=seed)).final() for seed in (0, 1))
    assert 0.2 < one.metrics[FIRST] < 0.99
    assert all(np.array_equal(one.units[name], other.units[name]) for name in one.units)


def test_more_shots_are_easier_and_more_ways_harder() -> None:
    metrics = Episodes(subject(noise=0.5)).final().metrics
    five, twenty = (
        [metrics[f"source_test/{w}way_{k}shot_accuracy"] for k in (1, 5)] for w in (5, 20)
    )
    assert five[0] < five[1] and twenty[0] < twenty[1]
    assert twenty[0] < five[0] and twenty[1] < five[1]


def test_each_example_goes_through_the_backbone_once() -> None:
    one = subject()
    Episodes(one).final()
    assert one.net.backbone.seen == 25 * 20  # type: ignore[comparison-overlap]
    assert one.net.features(torch.ones(1, 3)).grad_fn is not None  # and the backbone is back


def test_a_network_on_cached_features_stays_on_them() -> None:
    one = subject()
    with one.net.on_features():
        assert Episodes(one).final().metrics[FIRST] == 1.0
        assert one.net.backbone.seen == 0  # type: ignore[comparison-overlap]
        assert not one.net.features(torch.ones(1, 3)).requires_grad


def test_a_strategy_that_adapts_gets_inputs_and_gradients() -> None:
    adapting, fixed = subject(noise=0.5, strategy=Adapts()), subject(noise=0.5)
    ours, theirs = Episodes(adapting).final(), Episodes(fixed).final()
    assert ours.metrics == pytest.approx(theirs.metrics)


def test_few_classes_or_examples_allow_fewer_settings() -> None:
    assert list(Episodes(subject(classes=3)).final().units) == [
        "source_test/3way_1shot_accuracy",
        "source_test/3way_5shot_accuracy",
    ]
    assert list(Episodes(subject(classes=20, each=5)).final().units) == [
        "source_test/5way_1shot_accuracy",
        "source_test/20way_1shot_accuracy",
    ]


def test_settings_that_are_missing_are_empty_in_the_table() -> None:
    one = subject(classes=20, each=6)
    one.table.y[-1] = -1  # the last class has 5 examples left
    (grid,) = Episodes(one).final().grids
    assert grid.rows == ("5-way", "20-way")
    assert grid.values == ((1.0, 0.0, 1.0, 0.0), (1.0, 0.0, None, None))


def test_classes_that_were_trained_on_are_refused() -> None:
    with pytest.raises(UserError, match="type dataset.split_by=class") as error:
        Episodes(subject(train=np.arange(2, 502, 20)))
    assert len(error.value.problems) == 1
    half = subject(train=np.arange(2, 202, 20))
    assert np.array_equal(Episodes(half).unseen, np.arange(202, 502))


def test_a_split_can_choose_an_epoch() -> None:
    one = subject(noise=0.5, val=np.arange(2, 402))
    score = Episodes(one).score("source", "val")
    assert 0.2 < score < 0.99
    with pytest.raises(UserError, match="source's val split.*type dataset.split_by=class"):
        Episodes(subject(val=np.arange(2, 502, 20))).score("source", "val")
