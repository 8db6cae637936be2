"""Denoising reconstruction: its noise, its decoder, and DRCN's balance."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tltool.backbones.base import Backbone, Net
from tltool.backbones.lenet import LeNet
from tltool.data.preprocessing import Preprocessing
from tltool.strategies.adaptation.autoencoder import Corruption, Decoder, reconstruction_error
from tltool.strategies.adaptation.drcn import DRCN
from tltool.strategies.adaptation.reconstruction import Reconstruction
from tltool.strategies.base import Batch, DataSpec
from tltool.strategies.pairs import forward_pair

SPEC = DataSpec(3, ("a", "b", "c"), {"source": 8, "target": 8})


@pytest.fixture
def net() -> Net:
    torch.manual_seed(0)
    return Net(LeNet(dropout=0.0), 3)


def batch() -> Batch:
    torch.manual_seed(1)
    x = torch.randn(16, 3, 28, 28)
    return {"source": {"x": x[:8], "y": torch.arange(8) % 3}, "target": {"x": x[8:] + 1.0}}


def test_masking_hides_whole_pixels_and_leaves_the_others() -> None:
    torch.manual_seed(0)
    x = torch.rand(4, 3, 50, 50) + 1.0
    noised = Corruption("masking", 0.3)(x)
    hidden = noised == 0
    assert hidden[:, 0].equal(hidden[:, 1]) and hidden[:, 0].equal(hidden[:, 2])
    assert torch.equal(noised[~hidden], x[~hidden])
    assert hidden.float().mean().item() == pytest.approx(0.3, abs=0.02)  # 10 000 pixels
    assert not hidden[0].equal(hidden[1])


def test_gaussian_noise_has_its_standard_deviation() -> None:
    torch.manual_seed(0)
    x = torch.rand(4, 1, 50, 50)
    noise = Corruption("gaussian", 0.5)(x) - x
    assert noise.std().item() == pytest.approx(0.5, abs=0.02)
    assert noise.mean().item() == pytest.approx(0.0, abs=0.02)


def test_level_zero_draws_nothing() -> None:
    x, before = torch.rand(2, 1, 4, 4), torch.get_rng_state()
    assert Corruption("masking", 0.0)(x) is x and Corruption("gaussian", 0.0)(x) is x
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("size", [1, 5, 8, 28, 32, 33, 100, 224])
def test_the_decoder_draws_images_of_any_side(size: int) -> None:
    backbone = LeNet()
    backbone.preprocessing = replace(backbone.preprocessing, size=size)
    decoder = Decoder(backbone)
    assert decoder(torch.randn(2, 256)).shape == (2, 3, size, size)
    first = decoder.layers[0]
    assert isinstance(first, nn.Linear) and first.out_features <= 32 * 8 * 8


class Pixel(Backbone):
    """An image of one pixel is its own feature."""

    def __init__(self) -> None:
        super().__init__()
        self.num_features = 1
        self.preprocessing = Preprocessing(size=1, channels=1)

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1)


def test_the_error_is_to_the_clean_image_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    net = Net(Pixel(), 2)
    corruption, decoder = Corruption("gaussian", 1.0), Decoder(net.backbone)
    monkeypatch.setattr(torch, "randn_like", lambda x: torch.full_like(x, 10.0))
    monkeypatch.setattr(decoder, "forward", lambda f: 2.0 * f.reshape(-1, 1, 1, 1))
    x = torch.tensor([1.0, 3.0]).reshape(2, 1, 1, 1)
    # Noised 11 and 13, drawn 22 and 26, clean 1 and 3: (21^2 + 23^2) / 2
    assert reconstruction_error(net, decoder, corruption, x).item() == 485.0


@pytest.mark.parametrize(("domain", "images"), [("target", 8), ("both", 16)])
def test_the_term_reaches_encoder_and_decoder_and_not_the_head(
    net: Net, domain: str, images: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    strategy = Reconstruction(trade_off=0.5, domain=domain)  # type: ignore[arg-type]
    strategy.build(net, SPEC)
    seen: list[Tensor] = []
    real = net.backbone.forward
    monkeypatch.setattr(net.backbone, "forward", lambda x: seen.append(x) or real(x))
    pair = forward_pair(net, batch(), "joint")
    term = strategy.transfer(net, pair, 0.5).terms["reconstruction"]
    assert [len(x) for x in seen] == [16, images]
    assert (seen[1] == 0).float().mean().item() == pytest.approx(0.4, abs=0.05)
    term.backward()  # type: ignore[no-untyped-call]
    for part in (net.backbone, strategy.decoder):
        assert any(p.grad is not None and bool(p.grad.any()) for p in part.parameters())
    assert all(p.grad is None for p in net.head.parameters())
    torch.manual_seed(2)
    once = strategy.transfer(net, pair, 0.5).terms["reconstruction"]
    strategy.trade_off = 1.0
    torch.manual_seed(2)
    twice = strategy.transfer(net, pair, 0.5).terms["reconstruction"]
    torch.testing.assert_close(twice, 2 * once)


def test_drcn_balances_the_two_terms(net: Net) -> None:
    drcn = DRCN(balance=0.7, level=0.0)
    drcn.build(net, SPEC)
    terms = drcn.loss(net, batch(), 0.5).terms
    data = batch()
    source, target = net.features(data["source"]["x"]), net.features(data["target"]["x"])
    plain = F.cross_entropy(net.head(source), data["source"]["y"])
    error = (drcn.decoder(target) - data["target"]["x"]).square().mean()
    torch.testing.assert_close(terms["classification"], 0.7 * plain)
    torch.testing.assert_close(terms["reconstruction"], 0.3 * error)


def test_drcn_encodes_the_noised_target_and_the_clean_source(
    net: Net, monkeypatch: pytest.MonkeyPatch
) -> None:
    drcn, data, seen = DRCN(batch_norm="joint"), batch(), list[Tensor]()
    drcn.build(net, SPEC)
    real = net.backbone.forward
    monkeypatch.setattr(net.backbone, "forward", lambda x: seen.append(x) or real(x))
    drcn.loss(net, data, 0.5)
    assert torch.equal(seen[0][:8], data["source"]["x"])
    assert (seen[0][8:] == 0).float().mean().item() == pytest.approx(0.4, abs=0.05)


def test_wrong_options_are_refused() -> None:
    with pytest.raises(ValueError, match="trade_off must not be negative, got -1"):
        Reconstruction(trade_off=-1.0)
    with pytest.raises(ValueError, match="level must be below 1"):
        Reconstruction(noise="masking", level=1.0)
    with pytest.raises(ValueError, match="level must not be negative, got -0.1"):
        DRCN(noise="gaussian", level=-0.1)
    with pytest.raises(ValueError, match="balance must be from 0 to 1, got 1.5"):
        DRCN(balance=1.5)
