"""MMD, JAN, CORAL and CMD add their discrepancy of the network's own features, times its weight."""

from typing import Any

import pytest
import torch
from torch import Tensor

from tltool.backbones.base import Net
from tltool.backbones.lenet import LeNet
from tltool.losses.discrepancy import central_moments, coral, joint_mmd, mmd
from tltool.strategies.adaptation.cmd import CMD
from tltool.strategies.adaptation.coral import CORAL
from tltool.strategies.adaptation.jan import JAN
from tltool.strategies.adaptation.mmd import MMD
from tltool.strategies.pairs import Pair, PairStrategy

KINDS = [MMD, JAN, CORAL, CMD]


@pytest.fixture
def net() -> Net:
    torch.manual_seed(0)
    return Net(LeNet(dropout=0.0), 3)


def batch(sizes: tuple[int, int] = (8, 8)) -> dict[str, dict[str, Tensor]]:
    torch.manual_seed(1)
    source, target = (torch.randn(size, 3, 28, 28) for size in sizes)
    return {
        "source": {"x": source, "y": torch.arange(sizes[0]) % 3},
        "target": {"x": 3.0 * target + 1.0},
    }


def expected(strategy: PairStrategy, net: Net, data: dict[str, dict[str, Tensor]]) -> Tensor:
    """Returns the discrepancy of the network's features, without the weight."""
    features = net.features(torch.cat([data["source"]["x"], data["target"]["x"]]))
    size = len(data["source"]["x"])
    source, target = features[:size], features[size:]
    p = torch.softmax(net.head(features), dim=1)
    return {
        MMD: lambda: mmd(source, target),
        JAN: lambda: joint_mmd(source, target, p[:size], p[size:]),
        CORAL: lambda: coral(source, target),
        CMD: lambda: central_moments(torch.tanh(source), torch.tanh(target), 5, 2.0),
    }[type(strategy)]()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sizes", [(8, 8), (8, 5)])
def test_the_term_is_the_weight_times_the_discrepancy(
    kind: Any, sizes: tuple[int, int], net: Net
) -> None:
    strategy, data = kind(trade_off=7.0), batch(sizes)
    terms = strategy.loss(net, data, 0.5).terms
    (name,) = set(terms) - {"classification"}
    found = expected(strategy, net, data)
    assert found > 0
    torch.testing.assert_close(terms[name], 7.0 * found)


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_down_the_term_alone_brings_the_domains_together(kind: Any, net: Net) -> None:
    strategy, data = kind(), batch()
    parameters = list(net.backbone.parameters())
    optimizer = torch.optim.SGD(parameters, lr=1e-3)
    before = expected(strategy, net, data)
    terms = strategy.loss(net, data, 0.5).terms
    (name,) = set(terms) - {"classification"}
    terms[name].backward()
    assert all(p.grad is not None and p.grad.any() for p in parameters if p.ndim > 1)
    optimizer.step()
    assert expected(strategy, net, data) < before


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("domain", ["source", "target"])
def test_both_domains_are_moved(kind: Any, domain: str) -> None:
    torch.manual_seed(0)
    head = torch.nn.Linear(4, 3)
    features = {"source": torch.randn(6, 4), "target": torch.randn(6, 4) + 1}
    features = {key: value.requires_grad_() for key, value in features.items()}
    logits = {key: head(value) for key, value in features.items()}
    pair = Pair(
        features["source"], features["target"], logits["source"], logits["target"],
        torch.zeros(6, dtype=torch.int64), {},
    )  # fmt: skip
    net: Any = None  # all there is to see is in the pair
    kind().transfer(net, pair, 0.5).total.backward()
    assert features[domain].grad is not None and features[domain].grad.abs().sum() > 1e-3
    assert (head.weight.grad is not None) == (kind is JAN)  # predictions are matched by JAN alone


def test_features_of_any_size_have_moments_on_the_interval() -> None:
    huge = torch.full((4, 3), 1e6)
    logits = torch.zeros(4, 2)
    pair = Pair(huge, -huge, logits, logits, torch.zeros(4, dtype=torch.int64), {})
    net: Any = None
    found = CMD(trade_off=1.0).transfer(net, pair, 0.5).total
    # Means 1 and -1 in each of three features: |(2, 2, 2)| / 2
    torch.testing.assert_close(found, torch.tensor(3.0).sqrt())


@pytest.mark.parametrize("kind", KINDS)
def test_wrong_weights_are_refused(kind: Any) -> None:
    with pytest.raises(ValueError, match="trade_off must not be negative, got -1"):
        kind(trade_off=-1.0)


def test_wrong_moments_are_refused() -> None:
    with pytest.raises(ValueError, match="moments must be at least 1, got 0"):
        CMD(moments=0)
