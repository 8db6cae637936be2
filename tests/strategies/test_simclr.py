"""What SimCLR does to a network, beyond what every strategy is held to."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from tltool.backbones.base import Backbone, Net
from tltool.backbones.lenet import LeNet
from tltool.data.views import Views
from tltool.strategies.base import DataSpec
from tltool.strategies.finetuning.linear_probe import LinearProbe
from tltool.strategies.selfsupervised.simclr import SimCLR

SPEC = DataSpec(3, ("a", "b", "c"), {"source": 12})
Run = Callable[..., dict[str, Any]]


def test_an_image_is_told_from_others_by_another_view_of_it() -> None:
    """Fails where the views are of different images, or the gradient does not arrive."""
    torch.manual_seed(0)
    strategy = SimCLR()
    net = Net(LeNet(dropout=0.0), 3)
    strategy.build(net, SPEC)
    # Blobs at 16 places: crops move them, so that only what is learned can tell them apart.
    images = torch.randint(0, 40, (16, 3, 28, 28), dtype=torch.uint8)
    for i in range(16):
        images[i, i % 3, 6 * (i // 4) : 6 * (i // 4) + 8, 6 * (i % 4) : 6 * (i % 4) + 8] += 200
    views = Views(area=0.5, flip=False)

    def loss() -> Any:
        return strategy.loss(net, {"views": [views(images) / 127.5 - 1 for _ in range(2)]}, 0.0)

    optimizer = torch.optim.Adam(strategy.param_groups(net, 0), lr=1e-3)
    first = loss().total.item()
    for _ in range(40):
        optimizer.zero_grad()
        loss().total.backward()
        optimizer.step()
    assert loss().total.item() < 0.6 * first
    assert loss().metrics["spread"] > 0.5


def test_the_probe_leaves_the_backbone_as_the_pretraining_left_it(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left: list[dict[str, Tensor]] = []

    def keep(self: SimCLR, net: Net, stage: int, data: Any) -> None:
        left.append({name: tensor.clone() for name, tensor in net.state_dict().items()})

    monkeypatch.setattr(SimCLR, "end_stage", keep)
    results = run(tmp_path, "strategy=simclr", "strategy.probe_share=0.5")
    exported = load_file(tmp_path / "model.safetensors")
    for name, before in left[0].items():
        same = torch.equal(before, exported[f"net.{name}"])
        assert same != name.startswith("head."), f"{name} {'did not move' if same else 'moved'}"
    assert "target_test/knn_accuracy" in results["metrics"]


def test_stages_learn_from_the_domain_that_is_asked_for() -> None:
    pretrain, probe = SimCLR(domain="target", probe_share=0.25).stages()
    assert pretrain.options == {"domain": "target"} and not pretrain.cached_features
    assert (probe.feed, probe.cached_features) == ("plain", True)
    assert (pretrain.share, probe.share) == (0.75, 0.25)


def test_a_collapse_is_told() -> None:
    strategy = SimCLR()
    rows = [{"train/spread": 0.02}] * 5 + [{"train/accuracy": 0.3}]
    assert "the embeddings collapse: their spread sits at 0.020" in strategy.diagnose(rows)[0]
    assert strategy.diagnose(rows[:4]) == []
    assert strategy.diagnose([*rows[:4], {"train/spread": 0.9}]) == []


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"temperature": 0.0}, "temperature must be above 0, got 0.0"),
        ({"dim": 0}, "hidden and dim must be at least 1"),
        ({"probe_share": 1.0}, "probe_share must be above 0 and below 1, got 1.0"),
    ],
)
def test_options_that_cannot_be(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        SimCLR(**given)


def test_a_random_probe_keeps_no_weight_of_the_backbone() -> None:
    backbone: Backbone = LeNet()
    with torch.no_grad():
        for parameter in backbone.parameters():
            parameter.fill_(7.0)  # stands for learned weights
    LinearProbe().build(Net(backbone, 3), SPEC)
    assert all((parameter == 7.0).all() for parameter in backbone.parameters())
    LinearProbe(random=True).build(Net(backbone, 3), SPEC)
    assert not any((parameter == 7.0).all() for parameter in backbone.parameters())
