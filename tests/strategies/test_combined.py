"""Several terms on one forward pass are the sum of each on its own."""

from typing import Any

import pytest
import torch

from tltool.backbones.base import Net
from tltool.backbones.lenet import LeNet
from tltool.strategies.adaptation.combined import Combined
from tltool.strategies.adaptation.dann import DANN
from tltool.strategies.adaptation.entropy import Entropy
from tltool.strategies.adaptation.source_only import SourceOnly
from tltool.strategies.base import DataSpec

SPEC = DataSpec(3, ("a", "b", "c"), {"source": 8, "target": 8})


@pytest.fixture
def net() -> Net:
    torch.manual_seed(0)
    return Net(LeNet(dropout=0.0), 3)


def batch() -> dict[str, Any]:
    torch.manual_seed(1)
    x = torch.randn(16, 3, 28, 28)
    return {"source": {"x": x[:8], "y": torch.arange(8) % 3}, "target": {"x": x[8:] + 1.0}}


def test_each_term_is_what_its_strategy_gives_times_its_weight(net: Net) -> None:
    dann, entropy = DANN(hidden=16), Entropy(trade_off=1.0, batch_norm="joint")
    combined = Combined([dann, entropy], weights=[0.5, 3.0])
    combined.build(net, SPEC)
    ours = combined.loss(net, batch(), 0.3).terms
    domain = dann.loss(net, batch(), 0.3).terms
    unsure = entropy.loss(net, batch(), 0.3).terms["entropy"]
    assert list(ours) == ["classification", "dann_domain", "entropy_entropy"]
    torch.testing.assert_close(ours["classification"], domain["classification"])
    torch.testing.assert_close(ours["dann_domain"], 0.5 * domain["domain"])
    torch.testing.assert_close(ours["entropy_entropy"], 3.0 * unsure)


def test_there_is_one_forward_pass(net: Net) -> None:
    seen = []
    net.backbone.register_forward_hook(lambda module, x, y: seen.append(len(y)))
    combined = Combined([DANN(hidden=16), Entropy()])
    combined.build(net, SPEC)
    combined.loss(net, batch(), 0.3)
    assert seen == [16]


def test_what_a_term_keeps_is_kept_with_it(net: Net) -> None:
    combined = Combined([DANN(hidden=16), Entropy()])
    combined.build(net, SPEC)
    assert any("terms.0.discriminator" in name for name in combined.state_dict())


def test_the_same_strategy_twice_has_two_names() -> None:
    assert Combined([Entropy(), Entropy()]).names == ["entropy1", "entropy2"]


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"terms": []}, "terms names no strategy"),
        ({"terms": [SourceOnly()]}, "SourceOnly does not add terms"),
        ({"terms": [Entropy()], "weights": [1.0, 2.0]}, "1 numbers wanted, one a term"),
        ({"terms": [Entropy()], "weights": [-1.0]}, "none may be negative"),
    ],
)
def test_wrong_options_are_refused(given: dict[str, Any], line: str) -> None:
    with pytest.raises(ValueError, match=line):
        Combined(**given)
