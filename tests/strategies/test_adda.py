"""ADDA keeps the source's encoder, and only the target's encoder looks for the other label."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tltool.backbones.base import Net
from tltool.backbones.lenet import LeNet
from tltool.learner import Learner
from tltool.optim import SGD
from tltool.strategies.adaptation.adda import ADDA
from tltool.strategies.base import Batch, DataSpec, Losses, StageData
from tltool.strategies.supervised import supervised

SPEC = DataSpec(3, ("a", "b", "c"), {"source": 8, "target": 8})


class NoData:
    def examples(self, role: str | None = None) -> list[Batch]:  # type: ignore[override]
        return []


def learner(dropout: float = 0.0) -> Learner:
    """Returns one that stands at the start of the second stage."""
    torch.manual_seed(0)
    net, strategy = Net(LeNet(dropout=dropout), 3), ADDA(hidden=16)
    strategy.build(net, SPEC)
    with torch.no_grad():  # as if stage 1 had moved them
        for tensor in [*net.parameters(), *net.buffers()]:
            if tensor.is_floating_point():
                tensor.add_(0.01)
    data: StageData = NoData()  # type: ignore[assignment]
    strategy.begin_stage(net, 1, data)
    strategy.stage = 1
    found = Learner(net, strategy, SGD(lr=0.05, schedule="constant"), seed=0)
    found.start_stage(1, 10)
    return found


def batch() -> Batch:
    torch.manual_seed(1)
    x = torch.randn(16, 3, 28, 28)
    return {"source": {"x": x[:8], "y": torch.arange(8) % 3}, "target": {"x": x[8:] + 1.0}}


def train(found: Learner, steps: int) -> tuple[list[set[str]], list[float], Losses]:
    """Returns what each of the optimiser's steps moved, their losses, and the last ones shown."""
    optimizer = found.configure_optimizers()
    found.train()
    moved, values = list[set[str]](), list[float]()

    def minimise(loss: Tensor) -> None:
        before = copy.deepcopy(dict(found.named_parameters()))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        values.append(loss.item())
        changed = (n for n, p in found.named_parameters() if not torch.equal(p, before[n]))
        moved.append({".".join(name.split(".")[:2]) for name in changed})

    for _ in range(steps):
        losses = found.strategy.step(found.net, batch(), 0.0, minimise)
    return moved, values, losses


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_the_sources_encoder_and_the_head_never_move(dropout: float) -> None:
    found = learner(dropout)
    strategy = found.strategy
    assert isinstance(strategy, ADDA)
    kept = copy.deepcopy(strategy.source_encoder.state_dict())
    head = copy.deepcopy(found.net.head.state_dict())
    assert all(torch.equal(kept[k], v) for k, v in found.net.backbone.state_dict().items())
    train(found, 3)
    state = strategy.source_encoder.state_dict()
    assert all(torch.equal(kept[name], state[name]) for name in kept)  # running statistics too
    assert all(torch.equal(head[k], v) for k, v in found.net.head.state_dict().items())


def test_discriminator_and_encoder_take_turns() -> None:
    """Also from the second batch on, when momentum would move what has a gradient of zero."""
    moved, _, losses = train(learner(), 2)
    assert moved == [{"strategy.discriminator"}, {"net.backbone"}] * 2
    assert 0 <= losses.metrics["domain_accuracy"].item() <= 1


def test_the_encoder_minimises_inverted_labels() -> None:
    found, data = learner(), batch()
    strategy = found.strategy
    assert isinstance(strategy, ADDA)
    found.train()
    strategy.source_encoder.eval()  # there is no dropout
    source = strategy.source_encoder(data["source"]["x"])
    target = found.net.features(data["target"]["x"])
    logits = strategy.discriminator.layers(torch.cat([source, target])).squeeze(1)
    ones = torch.ones(8)
    domain = F.binary_cross_entropy_with_logits(logits, torch.cat([ones, 0 * ones]))
    inverted = F.binary_cross_entropy_with_logits(logits[8:], ones)
    encoder = list(found.net.backbone.parameters())
    expected = torch.autograd.grad(inverted, encoder)
    assert sum(float(g.abs().sum()) for g in expected) > 0.01

    calls = list[tuple[float, list[Tensor | None]]]()

    def minimise(loss: Tensor) -> None:
        found.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        calls.append((loss.item(), [p.grad for p in encoder]))

    strategy.step(found.net, data, 0.0, minimise)
    (first, to_encoder), (second, found_gradients) = calls
    assert first == pytest.approx(domain.item(), abs=1e-5)
    assert to_encoder == [None] * len(encoder)
    assert second == pytest.approx(inverted.item(), abs=1e-5)
    for a, b in zip(found_gradients, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5)


def test_the_sources_encoder_drops_out_as_the_targets_does() -> None:
    """Else its features are known by their lack of noise. Its BatchNorm keeps what it knows."""
    found = learner(dropout=0.5)
    strategy = found.strategy
    assert isinstance(strategy, ADDA)
    train(found, 1)
    source, target = strategy.source_encoder.modules(), found.net.backbone.modules()
    for ours, theirs in zip(source, target, strict=True):
        assert ours.training == (theirs.training and not isinstance(ours, nn.BatchNorm1d))
    x = batch()["source"]["x"]
    assert not torch.equal(strategy.source_encoder(x), strategy.source_encoder(x))


def test_the_first_stage_trains_the_classifier_on_the_source() -> None:
    torch.manual_seed(0)
    net, strategy = Net(LeNet(dropout=0.0), 3), ADDA(hidden=16)
    strategy.build(net, SPEC)
    seen = list[Tensor]()
    data = batch()["source"]
    losses = strategy.step(net, data, 0.0, seen.append)
    torch.testing.assert_close(seen[0], supervised(net, data).terms["classification"])
    assert losses.terms.keys() == {"classification"}
    trained = {id(p) for group in strategy.param_groups(net, 0) for p in group["params"]}
    assert trained == {id(p) for p in net.parameters()}
    first, second = strategy.stages()
    assert (first.feed, second.feed, strategy.feed) == ("plain", None, "pair")
    assert first.share == pytest.approx(1.0 - second.share)


def test_predictions_come_from_the_targets_encoder() -> None:
    found, x = learner(), batch()["target"]["x"]
    train(found, 2)
    found.eval()
    features = found.strategy.features(found.net, x)
    torch.testing.assert_close(features, found.net.backbone(x))
    assert isinstance(found.strategy, ADDA) and isinstance(found.net.head, nn.Linear)
    assert not torch.allclose(features, found.strategy.source_encoder(x), atol=1e-3)
    torch.testing.assert_close(found.strategy.predict(found.net, x), found.net.head(features))


def test_it_watches_the_discriminator() -> None:
    [line] = ADDA().diagnose([{"train/domain_accuracy": 0.5}] * 20)
    assert "does not learn" in line
    assert ADDA().diagnose([{"train/classification": 0.5}] * 20) == []  # rows of stage 1
