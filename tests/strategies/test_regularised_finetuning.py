"""What L2-SP, BSS, DELTA, StochNorm and Co-Tuning do to a network."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torch.nn.functional as F
from rich.console import Console
from safetensors.torch import load_file
from timm.layers import BatchNormAct2d
from torch import Tensor, nn

from tltool.backbones.base import Backbone, Classifier, Net
from tltool.backbones.lenet import LeNet
from tltool.backbones.timm import TimmBackbone
from tltool.data.preprocessing import Preprocessing
from tltool.learner import Learner
from tltool.losses.regularisation import channel_attention, flat
from tltool.optim import SGD
from tltool.run.apply import evaluate_run
from tltool.strategies.base import Batch, DataSpec, Strategy
from tltool.strategies.finetuning.bss import BSS
from tltool.strategies.finetuning.co_tuning import CoTuning
from tltool.strategies.finetuning.delta import DELTA
from tltool.strategies.finetuning.finetune import Finetune
from tltool.strategies.finetuning.l2_sp import L2SP
from tltool.strategies.finetuning.stoch_norm import StochNorm, StochNormTuning

SPEC = DataSpec(3, ("a", "b", "c"), {"source": 24})
CHANNELS = 8


class Small(Backbone):
    """(B, 2, 4, 4) to (B, 8): a convolution, BatchNorm, ReLU and the mean over positions."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, CHANNELS, 3, padding=1)
        self.norm = nn.BatchNorm2d(CHANNELS)
        self.num_features = CHANNELS
        self.preprocessing = Preprocessing(size=4, channels=2)

    def forward_maps(self, x: Any) -> tuple[Tensor, list[Tensor]]:
        found = self.norm(self.conv(x)).relu()
        return found.mean(dim=(2, 3)), [found]

    def forward(self, x: Tensor) -> Tensor:
        return self.forward_maps(x)[0]


class Data:
    """24 examples in three batches; the label is in the mean of the first channel."""

    def __init__(self) -> None:
        torch.manual_seed(1)
        self.y = torch.arange(24) % 3
        self.x = torch.randn(24, 2, 4, 4)
        self.x[:, 0] += 3.0 * (self.y[:, None, None] - 1.0)

    @property
    def batch(self) -> Batch:
        return {"x": self.x, "y": self.y}

    def examples(self) -> Iterator[Batch]:
        for start in range(0, 24, 8):
            yield {"x": self.x[start : start + 8], "y": self.y[start : start + 8]}


@pytest.fixture
def data() -> Data:
    return Data()


def begun(strategy: Strategy, data: Data, backbone: Backbone | None = None) -> Net:
    """A network at the start of its first stage, the same one for every strategy."""
    torch.manual_seed(0)
    net = Net(backbone or Small(), 3)
    strategy.build(net, SPEC)
    net.eval()
    strategy.begin_stage(net, 0, data)
    return net


def trained(strategy: Strategy, data: Data, net: Net, steps: int = 30) -> Net:
    learner = Learner(net, strategy, SGD(lr=0.1), seed=0)
    optimizer = learner.configure_optimizers()
    learner.train()
    torch.manual_seed(0)
    for _ in range(steps):
        optimizer.zero_grad()
        strategy.loss(net, data.batch, 0.0).total.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return net


def weights(net: Net) -> Tensor:
    return flat(p.detach() for p in net.backbone.parameters())


# L2-SP


def test_l2_sp_stays_nearer_to_the_start_the_more_it_weighs(data: Data) -> None:
    moved = []
    for alpha in (0.0, 0.1, 1.0):
        strategy = L2SP(alpha=alpha)
        net = begun(strategy, data)
        start = weights(net)
        moved.append((weights(trained(strategy, data, net)) - start).norm().item())
    assert moved[0] > 1.5 * moved[1] > 3 * moved[2]


def test_l2_sp_takes_the_place_of_weight_decay_part_by_part(data: Data) -> None:
    for alpha, beta, expected in (
        (0.1, 0.1, [0.0, 0.0]),
        (0.0, 0.1, [0.001, 0.0]),
        (0.1, 0.0, [0.0, 0.001]),
    ):
        strategy = L2SP(alpha, beta)
        net = begun(strategy, data)
        groups = SGD(weight_decay=0.001).create(strategy.param_groups(net, 0)).param_groups
        assert [group["weight_decay"] for group in groups] == expected
        found = {id(p) for group in groups for p in group["params"]}
        assert found == {id(p) for p in net.parameters()}


def test_l2_sp_starts_where_its_stage_does(data: Data) -> None:
    strategy = L2SP()
    net = begun(strategy, data)
    assert strategy.loss(net, data.batch, 0.0).terms["starting_point"].item() == 0.0
    with torch.no_grad():
        net.backbone.conv.bias += 1.0  # 8 channels: half of 8, times 0.01
    penalty = strategy.loss(net, data.batch, 0.0).terms["starting_point"]
    assert penalty.item() == pytest.approx(0.04)
    strategy.begin_stage(net, 0, data)  # a step of a pipeline that others came before
    assert strategy.loss(net, data.batch, 0.0).terms["starting_point"].item() == 0.0
    with pytest.raises(ValueError, match=r"must not be negative, got -1 and 0.001"):
        L2SP(alpha=-1)


# BSS


def test_bss_shrinks_the_smallest_singular_values(data: Data) -> None:
    smallest, largest = [], []
    for trade_off in (0.0, 0.1):
        strategy = BSS(trade_off, k=4)
        net = trained(strategy, data, begun(strategy, data), steps=60)
        with torch.no_grad():
            singular = torch.linalg.svdvals(net.features(data.x))
        smallest.append(singular[-4:].square().sum().item())
        largest.append(singular[0].item())
    assert smallest[1] < 0.5 * smallest[0]
    assert largest[1] > 0.5 * largest[0]


def test_bss_refuses_what_cannot_work() -> None:
    with pytest.raises(ValueError, match="k must be at least 1, got 0"):
        BSS(k=0)
    with pytest.raises(ValueError, match="trade_off must not be negative, got -1"):
        BSS(trade_off=-1)


# DELTA


def test_delta_keeps_the_maps_near_those_of_the_start(data: Data) -> None:
    moved = []
    for trade_off in (0.0, 10.0):
        strategy = DELTA(trade_off)
        net = begun(strategy, data)
        trained(strategy, data, net)
        with torch.no_grad():
            now, then = net.eval().features(data.x), strategy.reference.eval()(data.x)
        moved.append((now - then).square().mean().item())
    assert moved[1] < 0.3 * moved[0]


def test_delta_leaves_its_copy_as_it_was(data: Data) -> None:
    strategy = DELTA()
    net = begun(strategy, data)
    before = {name: tensor.clone() for name, tensor in strategy.reference.state_dict().items()}
    trained(strategy, data, net, steps=3)
    for name, tensor in strategy.reference.state_dict().items():
        assert torch.equal(tensor, before[name]), name  # BatchNorm's statistics too
    assert not torch.equal(net.backbone.conv.weight, strategy.reference.conv.weight)


def test_delta_copies_the_network_as_its_stage_finds_it(data: Data) -> None:
    strategy = DELTA()
    net = begun(strategy, data)
    with torch.no_grad():
        net.backbone.conv.weight += 1.0  # by a step of a pipeline that comes before
    assert strategy.loss(net, data.batch, 0.0).terms["behaviour"].item() > 0
    strategy.begin_stage(net, 0, data)
    assert strategy.loss(net, data.batch, 0.0).terms["behaviour"].item() == 0


def test_delta_attends_to_what_matters(data: Data) -> None:
    """Only one channel of the maps tells the label; all others see noise."""
    torch.manual_seed(0)
    backbone = Small()
    with torch.no_grad():
        backbone.conv.weight[:, 0] = 0.0
        backbone.conv.weight[3, 0] = 1.0
    strategy = DELTA()
    begun(strategy, data, backbone)
    attention = strategy.get_buffer("attention_0")
    assert attention.sum().item() == pytest.approx(1.0)
    assert attention.argmax().item() == 3
    assert strategy.diagnose([]) == []


def test_delta_measures_importance_as_setting_channels_to_zero_does(data: Data) -> None:
    strategy = DELTA()
    net = begun(strategy, data)
    probe = strategy._probe(data)
    with torch.no_grad():
        features = net.backbone(data.x)  # the mean of the maps: zero where they are
        full = F.cross_entropy(probe(features), data.y)
        kept = 1 - torch.eye(CHANNELS)
        without = [F.cross_entropy(probe(features * row), data.y) for row in kept]
    exact = channel_attention(torch.stack(without) - full)
    found = strategy.get_buffer("attention_0")
    assert torch.corrcoef(torch.stack([exact, found]))[0, 1] > 0.7
    with torch.no_grad():
        assert (probe(features).argmax(dim=1) == data.y).float().mean() > 0.9


def test_delta_without_attention_weighs_channels_equally(data: Data) -> None:
    strategy = DELTA(attention=False)
    begun(strategy, data)
    assert torch.equal(strategy.get_buffer("attention_0"), torch.full((CHANNELS,), 1 / CHANNELS))
    assert strategy.diagnose([]) == []


def test_delta_tells_where_it_has_no_attention() -> None:
    strategy = DELTA()
    images = Data()
    images.x = torch.randn(24, 3, 32, 32)
    begun(strategy, images, TimmBackbone("test_vit", weights="random", size=32))
    assert strategy.diagnose([]) == [
        "6 of 6 feature maps have no attention: their channels weigh equally"
    ]


# StochNorm


def both(p: float) -> tuple[nn.BatchNorm2d, StochNorm]:
    """A BatchNorm that has seen other data, and a StochNorm in the place of its like."""
    found = []
    for _ in range(2):
        torch.manual_seed(0)
        norm = nn.BatchNorm2d(64)
        with torch.no_grad():
            norm.running_mean.normal_()
            norm.running_var.uniform_(0.5, 2.0)
            norm.weight.normal_()
            norm.bias.normal_()
        found.append(norm)
    stoch = StochNorm(found[1])
    stoch.p = p
    return found[0], stoch


def test_stoch_norm_takes_each_channel_from_one_of_two_normalisations() -> None:
    norm, stoch = both(0.5)
    x = torch.randn(4, 64, 3, 3)
    moving, batch = norm.eval()(x), norm.train()(x)
    found = stoch(x)
    by_moving = [torch.allclose(found[:, c], moving[:, c], atol=1e-5) for c in range(64)]
    by_batch = [torch.allclose(found[:, c], batch[:, c], atol=1e-5) for c in range(64)]
    assert all(a != b for a, b in zip(by_moving, by_batch, strict=True))
    assert 16 < sum(by_batch) < 48
    assert not torch.equal(stoch(x), found)  # another coin in every step
    # The moving statistics follow every batch, whichever were used.
    norm(x)
    torch.testing.assert_close(stoch.running_mean, norm.running_mean)
    torch.testing.assert_close(stoch.running_var, norm.running_var)


@pytest.mark.parametrize("p", [0.0, 1.0])
def test_stoch_norm_at_its_limits(p: float) -> None:
    norm, stoch = both(p)
    x = torch.randn(4, 64, 3, 3)
    expected = norm.train(p == 1.0)(x)
    assert torch.equal(stoch(x), expected)
    assert torch.equal(stoch.eval()(x), StochNorm(stoch).eval()(x))


def test_stoch_norm_passes_the_gradient_of_the_statistics_it_used() -> None:
    _, stoch = both(0.0)
    scale = (stoch.weight / (stoch.running_var + stoch.eps).sqrt()).detach().clone()
    x = torch.randn(4, 64, 3, 3, requires_grad=True)
    stoch(x).sum().backward()  # after the moving statistics have changed
    torch.testing.assert_close(x.grad, scale.view(1, -1, 1, 1).expand_as(x))


def test_stoch_norm_keeps_the_activation_of_timms_layer() -> None:
    layer = BatchNormAct2d(8)
    x = torch.randn(4, 8, 3, 3)
    expected = layer.eval()(x)
    assert (expected == 0).any()
    assert torch.equal(StochNorm(layer).eval()(x), expected)


def test_stoch_norm_replaces_every_batch_norm_and_keeps_the_names(data: Data) -> None:
    backbone = TimmBackbone("test_resnet", weights="random", size=32).eval()
    x = torch.randn(2, 3, 32, 32)
    expected, names = backbone(x), list(backbone.state_dict())
    strategy = StochNormTuning()
    net = begun(strategy, data, backbone)
    norms = [m for m in net.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    assert set(norms) == set(strategy.layers) and len(norms) > 5
    assert list(backbone.state_dict()) == names
    assert torch.equal(net.eval().features(x), expected)


def test_stoch_norm_is_stochastic_only_where_it_learns(data: Data) -> None:
    strategy = StochNormTuning(p=0.5)
    net = begun(strategy, data).train()
    other = Finetune()  # another step of a pipeline, on the same network
    assert len({strategy.loss(net, data.batch, 0.0).total.item() for _ in range(4)}) > 1
    assert len({other.loss(net, data.batch, 0.0).total.item() for _ in range(4)}) == 1
    with pytest.raises(ValueError, match=r"p must be in \[0, 1\], got 1.5"):
        StochNormTuning(p=1.5)


def test_stoch_norm_tells_where_there_is_no_batch_norm(data: Data) -> None:
    strategy = StochNormTuning()
    begun(strategy, data)
    assert strategy.diagnose([]) == []
    begun(strategy, data, TimmBackbone("test_vit", weights="random", size=32))
    [line] = strategy.diagnose([])
    assert line.startswith("the backbone has no BatchNorm: ")


# Co-Tuning


def pretrained() -> Small:
    """A backbone whose weights came with a classifier of 5 classes."""
    torch.manual_seed(0)
    backbone = Small()
    backbone.classifier = Classifier(torch.randn(5, CHANNELS), torch.randn(5))
    return backbone


def test_co_tuning_learns_which_old_classes_go_with_each_new_one(data: Data) -> None:
    strategy = CoTuning(temperature=2.0)
    net = begun(strategy, data, pretrained())
    weight, bias = net.backbone.classifier
    with torch.no_grad():
        old = ((net.features(data.x) @ weight.T + bias) / 2.0).softmax(dim=1)
    expected = torch.stack([old[data.y == label].mean(dim=0) for label in range(3)])
    torch.testing.assert_close(strategy.relationship, expected)


def test_co_tuning_trains_the_old_classifier_on_the_relationship(data: Data) -> None:
    gaps = []
    for trade_off in (0.0, 2.3):
        strategy = CoTuning(trade_off)
        net = begun(strategy, data, pretrained())
        start = strategy.old_head.weight.detach().clone()
        trained(strategy, data, net)
        with torch.no_grad():
            target = strategy.relationship[data.y]
            logits = strategy.old_head(net.eval().features(data.x))
            gap = F.kl_div(logits.log_softmax(dim=1), target, reduction="batchmean")
        gaps.append(gap.item())
        assert torch.equal(net.backbone.classifier.weight, start)  # a copy learns
    assert gaps[1] < 0.5 * gaps[0]


def test_co_tuning_without_an_old_classifier_is_fine_tuning_and_says_so(data: Data) -> None:
    co_tuning, finetune = CoTuning(), Finetune()
    nets = [trained(s, data, begun(s, data)) for s in (co_tuning, finetune)]
    for name, tensor in nets[0].state_dict().items():
        torch.testing.assert_close(tensor, nets[1].state_dict()[name])
    [line] = co_tuning.diagnose([])
    assert line.startswith("the weights came without a classifier: ")
    assert not list(co_tuning.parameters())
    strategy = CoTuning()
    begun(strategy, data, pretrained())
    assert strategy.diagnose([]) == []


def test_a_run_of_co_tuning_is_used_without_its_pretrained_weights(
    run: Any, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    model = timm.create_model("test_resnet", num_classes=7)
    torch.save(model.state_dict(), tmp_path / "w.pth")
    backbone = ["backbone=timm", "backbone.name=test_resnet", "backbone.size=32"]
    given = [*backbone, f"backbone.weights={tmp_path / 'w.pth'}", "steps=2"]
    results = run(tmp_path / "run", "strategy=co_tuning", *given)
    assert results["warnings"] == []
    saved = load_file(tmp_path / "run" / "model.safetensors")
    assert saved["strategy.old_head.weight"].shape == (7, 96)
    torch.testing.assert_close(saved["strategy.relationship"].sum(dim=1), torch.ones(3))
    (tmp_path / "w.pth").unlink()
    again = evaluate_run(tmp_path / "run", Console(quiet=True))
    assert again["metrics"] == results["metrics"]


def test_nobody_else_trains_saves_or_counts_the_old_classifier(data: Data) -> None:
    finetune = Finetune()
    net = begun(finetune, data, pretrained())
    counted = sum(p.numel() for p in net.parameters())
    assert counted == sum(p.numel() for p in Net(Small(), 3).parameters())
    assert not any("classifier" in name for name in net.state_dict())


def test_lenet_gives_the_maps_that_its_features_come_from() -> None:
    lenet, x = LeNet().eval(), torch.randn(2, 3, 28, 28)
    features, maps = lenet.forward_maps(x)
    assert torch.equal(features, lenet(x))
    assert [tuple(one.shape) for one in maps] == [(2, 20, 12, 12), (2, 50, 4, 4), (2, 500)]
