"""ProtoNet: what its loss and its answers are, and that it learns to tell unseen classes apart."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from rich.console import Console
from torch import Tensor

from tltool.backbones.base import Net
from tltool.backbones.conv4 import Conv4
from tltool.config.compose import resolve
from tltool.errors import UserError
from tltool.run.execute import execute
from tltool.strategies.base import Batch, DataSpec
from tltool.strategies.fewshot.protonet import ProtoNet

GLYPHS = ["dataset=glyphs", "dataset.alphabets=8", "dataset.characters=8", "dataset.drawings=8"]
FIRST = "source_test/5way_1shot_accuracy"


@pytest.fixture
def net() -> Net:
    torch.manual_seed(0)
    return Net(Conv4(hidden=8), 4)


@pytest.fixture
def protonet(net: Net) -> ProtoNet:
    strategy = ProtoNet(way=2, shot=2, query=1)
    strategy.build(net, DataSpec(4, ("a", "b", "c", "d"), {"source": 8}))
    return strategy


def episode(support: Tensor, query: Tensor) -> Batch:
    y = torch.arange(2)
    return {"support": {"x": support, "y": y.repeat_interleave(2)}, "query": {"x": query, "y": y}}


class Data:
    """Six examples of classes 0 and 2, in two batches."""

    def __init__(self) -> None:
        torch.manual_seed(2)
        self.x, self.y = torch.rand(6, 1, 28, 28), torch.tensor([0, 2, 2, 0, 2, 0])

    def examples(self) -> Iterator[Batch]:
        yield {"x": self.x[:4], "y": self.y[:4]}
        yield {"x": self.x[4:], "y": self.y[4:]}


def test_the_loss_by_hand(net: Net, protonet: ProtoNet) -> None:
    # Means (1, 0) and (0, 4); query (1, 1) is 1 and 10 from them, (0, 3) 10 and 1.
    support = torch.tensor([[0.0, 0.0], [2.0, 0.0], [0.0, 4.0], [0.0, 4.0]])
    query = torch.tensor([[1.0, 1.0], [0.0, 3.0]])
    with net.on_features():
        losses = protonet.loss(net, episode(support, query), 0.0)
        swapped = protonet.loss(net, episode(support, query.flip(0)), 0.0)
    right, wrong = torch.tensor([[-1.0, -10.0]]), torch.tensor([1])
    expected = F.cross_entropy(right, torch.tensor([0]))
    torch.testing.assert_close(losses.terms["classification"], expected)
    assert losses.metrics["accuracy"] == 1.0 and swapped.metrics["accuracy"] == 0.0
    torch.testing.assert_close(swapped.terms["classification"], F.cross_entropy(right, wrong))


def test_support_and_queries_both_have_a_gradient(net: Net, protonet: ProtoNet) -> None:
    torch.manual_seed(1)
    support = torch.rand(4, 1, 28, 28, requires_grad=True)
    query = torch.rand(2, 1, 28, 28, requires_grad=True)
    protonet.loss(net, episode(support, query), 0.0).total.backward()  # type: ignore[no-untyped-call]
    for x in (support, query):
        assert x.grad is not None and x.grad.flatten(1).any(dim=1).all()
    assert all(p.grad is None for p in net.head.parameters())


def test_the_head_is_not_trained(net: Net, protonet: ProtoNet) -> None:
    (group,) = protonet.param_groups(net, 0)
    assert {id(p) for p in group["params"]} == {id(p) for p in net.backbone.parameters()}


def test_when_training_ends_it_tells_the_training_classes_apart(
    net: Net, protonet: ProtoNet
) -> None:
    data = Data()
    net.eval()
    with pytest.raises(UserError, match="type selection=last"):
        protonet.predict(net, data.x)
    for _ in range(2):  # once more is the same: nothing adds up
        protonet.end_stage(net, 0, data)
    features = net.features(data.x).detach()
    of_0, of_2 = (features[data.y == c].mean(0) for c in (0, 2))
    logits = protonet.predict(net, data.x)
    expected = torch.stack([-(features - m).square().sum(1) for m in (of_0, of_2)], dim=1)
    torch.testing.assert_close(logits[:, [0, 2]], expected, rtol=1e-4, atol=1e-4)
    assert (logits[:, [1, 3]] == -torch.inf).all()


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"way": 1}, "way must be at least 2, got 1"),
        ({"shot": 0}, "shot must be at least 1, got 0"),
        ({"query": 0}, "query must be at least 1, got 0"),
    ],
)
def test_wrong_options_are_refused(option: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ProtoNet(**option)


def run(path: Path, *overrides: str) -> dict[str, Any]:
    given = [*GLYPHS, "experiment=smoke", "hardware=cpu", "backbone=conv4", *overrides]
    metrics: dict[str, Any] = execute(resolve(given), path, [], Console(quiet=True))["metrics"]
    return metrics


def test_it_learns_to_tell_characters_of_unseen_alphabets_apart(tmp_path: Path) -> None:
    given = ("strategy=protonet", "strategy.way=10", "strategy.query=2", "backbone.hidden=16")
    fresh = run(tmp_path / "fresh", *given, "optimizer.lr=1e-9", "steps=1")
    trained = run(tmp_path / "trained", *given, "optimizer=adamw", "optimizer.lr=0.01", "steps=60")
    assert trained[FIRST] > fresh[FIRST] + 0.15  # measured: 0.87 and 0.61


def test_an_epoch_is_chosen_by_classes_that_are_held_out(tmp_path: Path) -> None:
    given = ("selection=source_val", "dataset.split_by=class", "dataset.val_fraction=0.2")
    metrics = run(tmp_path, "strategy=protonet", "strategy.way=5", "backbone.hidden=8", *given)
    assert 0.5 < metrics[FIRST] <= 1


def test_any_network_can_be_scored_on_episodes(tmp_path: Path) -> None:
    given = ("strategy=linear_probe", "evaluation=episodes", "backbone.hidden=8", "steps=2")
    cached = run(tmp_path / "cached", *given)
    plain = run(tmp_path / "plain", *given, "strategy.cache=false")
    assert cached == pytest.approx(plain) and FIRST in cached
