"""DANN's adversary reaches the encoder with the reversed sign, and learns at its full rate."""

import pytest
import torch
from torch import Tensor

from tltool.backbones.base import Net
from tltool.backbones.lenet import LeNet
from tltool.losses.adversarial import domain_loss, reversal_coefficient
from tltool.strategies.adaptation.dann import DANN
from tltool.strategies.base import DataSpec


@pytest.fixture
def net() -> Net:
    torch.manual_seed(0)
    return Net(LeNet(dropout=0.0), 3)


@pytest.fixture
def dann(net: Net) -> DANN:
    strategy = DANN(hidden=16)
    strategy.build(net, DataSpec(3, ("a", "b", "c"), {"source": 8, "target": 8}))
    return strategy


def batch() -> dict[str, dict[str, Tensor]]:
    torch.manual_seed(1)
    x = torch.randn(16, 3, 28, 28)
    return {"source": {"x": x[:8], "y": torch.arange(8) % 3}, "target": {"x": x[8:] + 1.0}}


def gradients(net: Net, dann: DANN, loss: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    encoder, adversary = list(net.backbone.parameters()), list(dann.discriminator.parameters())
    found = torch.autograd.grad(loss, [*encoder, *adversary])
    return list(found[: len(encoder)]), list(found[len(encoder) :])


@pytest.mark.parametrize("progress", [0.05, 0.5, 1.0])
def test_the_domain_term_is_reversed_for_the_encoder_alone(
    net: Net, dann: DANN, progress: float
) -> None:
    data = batch()
    ours = gradients(net, dann, dann.loss(net, data, progress).terms["domain"])
    features = net.features(torch.cat([data["source"]["x"], data["target"]["x"]]))
    plain, _ = domain_loss(*dann.discriminator(features[:8], features[8:]))
    honest = gradients(net, dann, plain)
    c = reversal_coefficient(progress)
    assert sum(float(g.abs().sum()) for g in honest[0]) > 0.01
    for a, b in zip(ours[0], honest[0], strict=True):
        torch.testing.assert_close(a, -c * b, rtol=1e-4, atol=1e-6)
    for a, b in zip(ours[1], honest[1], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def test_at_the_start_the_adversary_leaves_the_encoder_alone(net: Net, dann: DANN) -> None:
    encoder, adversary = gradients(net, dann, dann.loss(net, batch(), 0.0).terms["domain"])
    assert all(not g.any() for g in encoder)
    assert any(g.any() for g in adversary)


def test_a_discriminator_can_learn_to_tell_the_domains_apart(net: Net, dann: DANN) -> None:
    """One that is constant, as a softmax over one logit makes it, stays at one half."""
    data = batch()
    optimizer = torch.optim.Adam(dann.discriminator.parameters(), lr=0.01)
    for _ in range(30):
        losses = dann.loss(net, data, 0.0)
        optimizer.zero_grad()
        losses.terms["domain"].backward()
        optimizer.step()
    assert losses.metrics["domain_accuracy"] == 1.0


def test_wrong_options_are_refused() -> None:
    with pytest.raises(ValueError, match="hidden must be at least 1"):
        DANN(hidden=0)
    with pytest.raises(ValueError, match="trade_off must not be negative"):
        DANN(trade_off=-1.0)
