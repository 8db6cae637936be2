"""Each of MCD's steps moves its own part of the network, in its own direction."""

from collections.abc import Iterator

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tltool.backbones.base import Net
from tltool.backbones.lenet import LeNet
from tltool.losses.disparity import discrepancy
from tltool.strategies.adaptation.mcd import MCD
from tltool.strategies.base import Batch, DataSpec
from tltool.strategies.freeze import frozen


@pytest.fixture
def net() -> Net:
    torch.manual_seed(0)
    return Net(LeNet(dropout=0.0), 3)


def built(net: Net, **options: object) -> MCD:
    strategy = MCD(**options)  # type: ignore[arg-type]
    torch.manual_seed(2)
    strategy.build(net, DataSpec(3, ("a", "b", "c"), {"source": 8, "target": 8}))
    return strategy


def batch() -> Batch:
    torch.manual_seed(1)
    x = torch.randn(16, 3, 28, 28)
    return {"source": {"x": x[:8], "y": torch.arange(8) % 3}, "target": {"x": x[8:] + 1.0}}


def parts(net: Net, strategy: MCD) -> dict[str, nn.Module]:
    return {"backbone": net.backbone, "first": net.head, "second": strategy.second}


class Phases:
    """Stands in for the optimiser's step; keeps each phase's loss, gradients and what moved."""

    def __init__(self, net: Net, strategy: MCD, lr: float) -> None:
        self.parts = parts(net, strategy)
        parameters = [p for part in self.parts.values() for p in part.parameters()]
        self.optimizer = torch.optim.SGD(parameters, lr=lr, momentum=0.9, weight_decay=0.1)
        self.losses: list[float] = []
        self.moved: list[set[str]] = []
        self.gradients: list[dict[str, list[Tensor | None]]] = []

    def __call__(self, loss: Tensor) -> None:
        before = {
            name: [p.detach().clone() for p in part.parameters()]
            for name, part in self.parts.items()
        }
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self.losses.append(loss.item())
        self.gradients.append(
            {name: [p.grad for p in part.parameters()] for name, part in self.parts.items()}
        )
        self.moved.append(
            {
                name
                for name, part in self.parts.items()
                for old, p in zip(before[name], part.parameters(), strict=True)
                if not torch.equal(old, p)
            }
        )


@pytest.mark.parametrize("batch_norm", ["joint", "separate"])
def test_each_phase_moves_its_own_parameters(net: Net, batch_norm: str) -> None:
    """Also from the second batch on, when momentum would move what has a gradient of zero."""
    strategy = built(net, num_steps=2, batch_norm=batch_norm)
    phases = Phases(net, strategy, lr=0.01)
    heads = {"first", "second"}
    for _ in range(2):
        strategy.step(net, batch(), 0.0, phases)
    assert phases.moved == [{"backbone", *heads}, heads, {"backbone"}, {"backbone"}] * 2
    # Frozen for a phase, and for no longer.
    assert all(p.requires_grad for part in phases.parts.values() for p in part.parameters())


def test_each_phase_minimises_its_own_loss(net: Net) -> None:
    strategy, data = built(net, num_steps=1), batch()
    y = data["source"]["y"]
    features = net.features(torch.cat([data["source"]["x"], data["target"]["x"]]))
    one, other = net.head(features), strategy.second(features)
    label = F.cross_entropy(one[:8], y) + F.cross_entropy(other[:8], y)
    apart = discrepancy(one[8:], other[8:])
    assert apart > 0.01
    # The heads climb the discrepancy, the backbone goes down on it.
    head, backbone = list(net.head.parameters()), list(net.backbone.parameters())
    climbs = torch.autograd.grad(label - apart, head, retain_graph=True)
    descends = torch.autograd.grad(apart, backbone)
    phases = Phases(net, strategy, lr=0.0)
    losses = strategy.step(net, data, 0.0, phases)
    expected = [label.item(), (label - apart).item(), apart.item()]
    assert phases.losses == pytest.approx(expected, abs=1e-5)
    assert losses.terms["classification"].item() == pytest.approx(expected[0], abs=1e-5)
    assert losses.terms["discrepancy"].item() == pytest.approx(expected[2], abs=1e-5)
    for found, honest in (
        (phases.gradients[1]["first"], climbs),
        (phases.gradients[2]["backbone"], descends),
    ):
        assert sum(float(g.abs().sum()) for g in honest) > 0.01
        for a, b in zip(found, honest, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    ("batch_norm", "sizes"), [("joint", [16, 16, 16, 16]), ("separate", [8, 8, 8, 8, 8, 8])]
)
def test_the_domains_share_a_pass_or_not(net: Net, batch_norm: str, sizes: list[int]) -> None:
    strategy, seen = built(net, num_steps=2, batch_norm=batch_norm), list[int]()
    handle = net.backbone.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    strategy.step(net, batch(), 0.0, Phases(net, strategy, lr=0.0))
    handle.remove()
    assert seen == sizes


def test_the_prediction_is_the_mean_of_both_heads(net: Net) -> None:
    strategy, x = built(net), batch()["source"]["x"]
    net.eval()
    features = net.features(x)
    assert not torch.allclose(net.head(features), strategy.second(features))
    mean = (net.head(features) + strategy.second(features)) / 2
    torch.testing.assert_close(strategy.predict(net, x), mean)


def test_a_wrong_option_is_refused() -> None:
    with pytest.raises(ValueError, match="num_steps must be at least 1, got 0"):
        MCD(num_steps=0)


@pytest.fixture
def pieces() -> Iterator[tuple[nn.Linear, nn.Linear]]:
    torch.manual_seed(0)
    yield nn.Linear(2, 3), nn.Linear(3, 1)


def test_frozen_passes_gradients_on_and_keeps_none(pieces: tuple[nn.Linear, nn.Linear]) -> None:
    below, above = pieces
    above.bias.requires_grad_(False)  # and stays so
    with frozen(above):
        loss = above(below(torch.ones(1, 2))).sum()
    loss.backward()
    assert above.weight.grad is None
    torch.testing.assert_close(below.bias.grad, above.weight.detach()[0])
    assert above.weight.requires_grad and not above.bias.requires_grad
