"""What reaches the encoder from an adversary is reversed; what reaches the adversary is not."""

import math
import sys
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import tltool.strategies.adaptation.cdan as cdan_module
from tltool.backbones.base import Backbone, Net
from tltool.backbones.lenet import LeNet
from tltool.losses.adversarial import reversal_coefficient
from tltool.strategies.adaptation.cdan import CDAN
from tltool.strategies.adaptation.dann import DANN
from tltool.strategies.adaptation.mdd import MDD
from tltool.strategies.adaptation.osbp import OSBP
from tltool.strategies.adaptation.pada import PADA
from tltool.strategies.base import Batch, DataSpec, Strategy

SPEC = DataSpec(3, ("a", "b", "c"), {"source": 8, "target": 8})
# By name: the strategy, its adversarial term, its adversary, and the strength of the reversal.
ADVERSARIES: dict[str, tuple[Callable[[], Strategy], str, str, float]] = {
    "cdan": (lambda: CDAN(hidden=16), "domain", "discriminator", 1.0),
    "cdan_entropy": (lambda: CDAN(entropy=True, hidden=16), "domain", "discriminator", 1.0),
    "mdd": (lambda: MDD(hidden=16), "disparity", "adversary", 0.1),
    "pada": (lambda: PADA(hidden=16), "domain", "discriminator", 1.0),
    "osbp": (OSBP, "unknown", "none", 1.0),
}


@pytest.fixture
def net() -> Net:
    torch.manual_seed(0)
    return Net(LeNet(dropout=0.0), 3)


def built(strategy: Strategy, net: Net) -> Strategy:
    torch.manual_seed(2)
    strategy.build(net, SPEC)
    return strategy


def batch() -> Batch:
    torch.manual_seed(1)
    x = torch.randn(16, 3, 28, 28)
    return {"source": {"x": x[:8], "y": torch.arange(8) % 3}, "target": {"x": x[8:] + 1.0}}


def term(strategy: Strategy, net: Net, name: str, progress: float) -> Tensor:
    torch.manual_seed(3)  # of an adversary's dropout
    return strategy.loss(net, batch(), progress).terms[name]


@pytest.mark.parametrize("progress", [0.0, 0.05, 1.0])
@pytest.mark.parametrize("name", ADVERSARIES)
def test_the_adversarial_term_is_reversed_for_the_encoder_alone(
    name: str, progress: float, net: Net, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, of_term, of_adversary, strength = ADVERSARIES[name]
    strategy = built(make(), net)
    encoder = list(net.backbone.parameters())
    adversary = list(getattr(strategy, of_adversary).parameters())
    state = {key: value.clone() for key, value in strategy.state_dict().items()}
    ours = torch.autograd.grad(term(strategy, net, of_term, progress), [*encoder, *adversary])
    strategy.load_state_dict(state)
    module = sys.modules[type(strategy).__module__]
    monkeypatch.setattr(module, "gradient_reversal", lambda x, coefficient: x)
    honest = torch.autograd.grad(term(strategy, net, of_term, progress), [*encoder, *adversary])
    assert sum(float(g.abs().sum()) for g in honest[: len(encoder)]) > 0.01
    assert any(g.abs().sum() > 1e-3 for g in honest[len(encoder) :])
    c = strength * reversal_coefficient(progress)
    for i, (a, b) in enumerate(zip(ours, honest, strict=True)):
        expected = -c * b if i < len(encoder) else b
        torch.testing.assert_close(a, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["cdan", "cdan_entropy", "mdd", "pada"])
def test_the_adversarial_term_leaves_the_head_alone(name: str, net: Net) -> None:
    make, of_term, _, _ = ADVERSARIES[name]
    found = term(built(make(), net), net, of_term, 0.5)
    head = torch.autograd.grad(found, list(net.head.parameters()), allow_unused=True)
    assert head == (None, None)


@pytest.mark.parametrize("name", ["cdan", "pada"])
def test_the_discriminators_accuracy_is_logged_and_watched(name: str, net: Net) -> None:
    strategy = built(ADVERSARIES[name][0](), net)
    metrics = strategy.loss(net, batch(), 0.5).metrics
    assert 0 <= metrics["domain_accuracy"].item() <= 1
    [line] = strategy.diagnose([{"train/domain_accuracy": 1.0}] * 20)
    assert "sits at 1.000" in line
    moving = [{"train/domain_accuracy": 0.5 + 0.01 * (i % 2)} for i in range(20)]
    assert strategy.diagnose(moving) == []


def seen_by_discriminator(strategy: CDAN, net: Net) -> Tensor:
    seen: list[Tensor] = []

    def keep(module: nn.Module, inputs: tuple[Tensor, Tensor]) -> None:
        seen.append(torch.cat(inputs))

    handle = strategy.discriminator.register_forward_pre_hook(keep)
    strategy.loss(net, batch(), 0.5)
    handle.remove()
    return seen[0]


def test_cdan_is_conditioned_on_probabilities_not_on_logits(net: Net) -> None:
    """Over the classes, features times probabilities add up to the features."""
    strategy = built(CDAN(hidden=16), net)
    assert isinstance(strategy, CDAN)
    data = batch()
    features = net.features(torch.cat([data["source"]["x"], data["target"]["x"]]))
    seen = seen_by_discriminator(strategy, net).unflatten(1, (-1, 3))
    torch.testing.assert_close(seen.sum(dim=2), features)
    probabilities = net.head(features).softmax(dim=1)
    torch.testing.assert_close(seen, features[:, :, None] * probabilities[:, None, :])


def test_cdan_maps_at_random_what_is_too_large_and_saves_the_matrices(
    net: Net, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cdan_module, "LARGEST", 256 * 3)
    assert "of_features" not in built(CDAN(hidden=16), net).state_dict()
    monkeypatch.setattr(cdan_module, "LARGEST", 256 * 3 - 1)
    strategy = built(CDAN(random=32, hidden=16), net)
    assert isinstance(strategy, CDAN)
    state = strategy.state_dict()
    assert state["of_features"].shape == (256, 32) and state["of_classes"].shape == (3, 32)
    assert not any("of_" in name for name, _ in strategy.named_parameters())
    data = batch()
    features = net.features(torch.cat([data["source"]["x"], data["target"]["x"]]))
    p = net.head(features).softmax(dim=1)
    expected = (features @ state["of_features"]) * (p @ state["of_classes"]) / math.sqrt(32)
    torch.testing.assert_close(seen_by_discriminator(strategy, net), expected)


def test_cdan_e_weighs_each_domain_by_itself(net: Net) -> None:
    """Where one domain is sure and the other is not, and each of it alike, no weight matters."""
    plain, entropy = CDAN(hidden=16), built(CDAN(entropy=True, hidden=16), net)
    built(plain, net)
    with torch.no_grad():
        weight = net.head.weight.zero_()  # type: ignore[operator, union-attr]
        same = [float(term(one, net, "domain", 0.5)) for one in (plain, entropy)]
        weight.normal_()
        other = [float(term(one, net, "domain", 0.5)) for one in (plain, entropy)]
    assert same[0] == pytest.approx(same[1], abs=1e-6)
    assert abs(other[0] - other[1]) > 1e-4


def test_pada_follows_the_mean_prediction_on_the_target(net: Net) -> None:
    strategy = built(PADA(momentum=0.75, hidden=16), net)
    assert isinstance(strategy, PADA)
    data = batch()
    logits = net(torch.cat([data["source"]["x"], data["target"]["x"]]))
    q = 0.75 / 3 + 0.25 * logits[8:].softmax(dim=1).mean(dim=0)
    losses = strategy.loss(net, data, 0.5)
    torch.testing.assert_close(strategy.share, q.detach())
    weights = (q / q.max())[data["source"]["y"]]
    each = F.cross_entropy(logits[:8], data["source"]["y"], reduction="none")
    torch.testing.assert_close(losses.terms["classification"], (weights * each).mean())
    assert "share" in strategy.state_dict()


def test_pada_ignores_source_classes_that_the_target_lacks(net: Net) -> None:
    strategy = built(PADA(momentum=1.0, hidden=16), net)
    assert isinstance(strategy, PADA)
    strategy.share.copy_(torch.tensor([0.5, 0.5, 0.0]))
    data = batch()
    data["source"]["y"] = torch.full((8,), 2)
    losses = strategy.loss(net, data, 1.0)
    assert losses.terms["classification"].item() == 0.0
    # What is left of the domain loss is the target's half.
    features = net.features(torch.cat([data["source"]["x"], data["target"]["x"]]))
    _, target = strategy.discriminator(features[:8], features[8:])
    torch.testing.assert_close(losses.terms["domain"], 0.5 * F.softplus(target).mean())


def test_pada_with_equal_shares_is_dann(net: Net) -> None:
    pada, dann = built(PADA(momentum=1.0, hidden=16), net), built(DANN(hidden=16), net)
    ours, theirs = pada.loss(net, batch(), 0.5), dann.loss(net, batch(), 0.5)
    assert ours.terms.keys() == theirs.terms.keys()
    for name, value in ours.terms.items():
        torch.testing.assert_close(value, theirs.terms[name])


def test_osbp_predicts_one_class_more(net: Net) -> None:
    strategy = built(OSBP(), net)
    assert strategy.rejects
    x = batch()["source"]["x"]
    logits = strategy.predict(net.eval(), x)
    assert logits.shape == (8, 4)
    torch.testing.assert_close(logits[:, :3], net(x))


class Plane(Backbone):
    """(B, 2) to (B, 32)."""

    num_features = 32

    def __init__(self) -> None:
        super().__init__()
        sizes = ((2, 32), (32, 32))
        layers = [(nn.Linear(*size), nn.BatchNorm1d(32), nn.ReLU()) for size in sizes]
        self.layers = nn.Sequential(*(part for layer in layers for part in layer))

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = self.layers(x)
        return features


def test_osbp_rejects_what_the_source_does_not_hold() -> None:
    """Four clusters, of which the source has three."""
    torch.manual_seed(0)
    net = Net(Plane(), 3)
    strategy = built(OSBP(), net)
    centres = torch.tensor([[3.0, 0.0], [-3.0, 0.0], [0.0, 3.0], [0.0, -3.0]])
    parameters = [*net.parameters(), *strategy.parameters()]
    optimizer = torch.optim.SGD(parameters, lr=0.01, momentum=0.9)

    def draw(count: int, classes: int) -> tuple[Tensor, Tensor]:
        y = torch.randint(classes, (count,))
        return centres[y] + 0.3 * torch.randn(count, 2), y

    steps = 300
    for i in range(steps):
        x, y = draw(32, 3)
        both = {"source": {"x": x, "y": y}, "target": {"x": draw(32, 4)[0]}}
        losses = strategy.loss(net, both, i / steps)
        optimizer.zero_grad()
        losses.total.backward()
        optimizer.step()
    x, y = draw(400, 4)
    predicted = strategy.predict(net.eval(), x).argmax(dim=1)
    right = (predicted == y).float()
    assert right[y == 3].mean() > 0.9 and right[y < 3].mean() > 0.9
