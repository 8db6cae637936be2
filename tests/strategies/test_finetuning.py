"""What the fine-tuning strategies do to a network, beyond what every strategy is held to."""

from typing import Any

import pytest
import torch
from torch import nn

from tltool.backbones.base import Backbone, Net
from tltool.backbones.lenet import LeNet
from tltool.backbones.timm import TimmBackbone
from tltool.config.compose import resolve
from tltool.errors import UserError
from tltool.learner import Learner
from tltool.optim import SGD
from tltool.run.model import ModelBuilder
from tltool.strategies.base import DataSpec, Strategy
from tltool.strategies.finetuning.discriminative import Discriminative
from tltool.strategies.finetuning.finetune import Finetune
from tltool.strategies.finetuning.from_scratch import FromScratch
from tltool.strategies.finetuning.gradual_unfreezing import GradualUnfreezing
from tltool.strategies.finetuning.lp_ft import LPFT
from tltool.strategies.finetuning.partial import Partial

SPEC = DataSpec(3, ("a", "b", "c"), {"source": 12})


def built(strategy: Strategy, backbone: Backbone | None = None) -> Net:
    """A network with the strategy built for it, the same one every time."""
    torch.manual_seed(0)
    net = Net(LeNet() if backbone is None else backbone, 3)
    strategy.build(net, SPEC)
    return net


def state(module: nn.Module) -> dict[str, Any]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def test_from_scratch_keeps_no_weight_of_the_backbone() -> None:
    torch.manual_seed(1)
    backbone = TimmBackbone("test_resnet", weights="random", size=32)
    with torch.no_grad():
        for parameter in backbone.parameters():
            parameter.fill_(7.0)  # stands for pretrained weights
    backbone.model.bn1.running_mean.fill_(7.0)
    net = built(FromScratch(), backbone)
    assert not any((tensor == 7.0).all() for tensor in state(net.backbone).values())
    again = built(FromScratch(), TimmBackbone("test_resnet", weights="random", size=32))
    for name, tensor in state(net).items():
        assert torch.equal(tensor, again.state_dict()[name]), f"{name} depends on the weights"


def test_from_scratch_is_recorded_as_random() -> None:
    backbone = TimmBackbone("tf_efficientnet_lite0", weights="package", size=32)
    assert "sha256" in backbone.provenance
    built(FromScratch(), backbone)
    assert backbone.provenance["weights"] == "random"
    assert "sha256" not in backbone.provenance


def learning(net: Net, strategy: Strategy, stage: int = 0) -> Learner:
    """A learner as it is in the midst of a stage."""
    learner = Learner(net, strategy, SGD(), seed=0)
    learner.start_stage(stage, total_steps=1)
    learner.configure_optimizers()
    return learner.train()


@pytest.mark.parametrize("name", ["test_resnet", "test_vit"])
@pytest.mark.parametrize("top", [0, 1, 2])
def test_partial_trains_the_last_groups_and_the_rest_is_in_eval_mode(name: str, top: int) -> None:
    strategy = Partial(top)
    net = built(strategy, TimmBackbone(name, weights="random", size=32))
    learning(net, strategy)
    groups = net.backbone.layer_groups()
    learns = [all(p.requires_grad for p in group) for group in groups]
    assert learns == [False] * (len(groups) - top) + [True] * top
    assert all(p.requires_grad for p in net.head.parameters())
    norms = [m for m in net.backbone.modules() if isinstance(m, nn.BatchNorm2d | nn.LayerNorm)]
    assert [m.training for m in norms] == [m.weight.requires_grad for m in norms]
    assert any(not m.training for m in norms)


def test_partial_refuses_more_groups_than_there_are() -> None:
    given = ["strategy=partial", "strategy.top=5", "hardware=cpu"]
    said = r"^strategy.top=5: this backbone has 4 groups of layers; type strategy.top=N"
    with pytest.raises(UserError, match=said):  # as the user gets it
        ModelBuilder(resolve(given).config).build(SPEC)
    with pytest.raises(ValueError, match=said):
        built(Partial(top=5))
    built(Partial(top=4))
    with pytest.raises(ValueError, match="top must not be negative, got -1"):
        Partial(top=-1)


def test_discriminative_divides_the_rate_from_the_head_down() -> None:
    strategy = Discriminative(decay=2.0)
    net = built(strategy)
    rates = {
        id(p): group["lr_scale"] for group in strategy.param_groups(net, 0) for p in group["params"]
    }
    assert rates.keys() == {id(p) for p in net.parameters()}
    assert {rates[id(p)] for p in net.head.parameters()} == {1.0}
    found = [{rates[id(p)] for p in group} for group in net.backbone.layer_groups()]
    assert found == [{0.0625}, {0.125}, {0.25}, {0.5}]
    with pytest.raises(ValueError, match=r"decay must be at least 1, got 0.5"):
        Discriminative(decay=0.5)


def test_gradual_unfreezing_adds_a_group_a_stage_until_all_learn() -> None:
    strategy = GradualUnfreezing()
    net = built(strategy)
    stages = strategy.stages()
    assert [stage.name for stage in stages] == ["head", "top 1", "top 2", "top 3", "top 4"]
    assert len({stage.share for stage in stages}) == 1
    for number in range(len(stages)):
        learning(net, strategy, number)
        learns = [all(p.requires_grad for p in group) for group in net.backbone.layer_groups()]
        assert learns == [False] * (4 - number) + [True] * number
        assert all(p.requires_grad for p in net.head.parameters())


def test_lp_ft_trains_the_head_on_cached_features_and_then_everything() -> None:
    strategy = LPFT(probe_share=0.25)
    net = built(strategy)
    probe, finetune = strategy.stages()
    assert (probe.share, finetune.share) == (0.25, 0.75)
    assert probe.cached_features and not finetune.cached_features
    learning(net, strategy, 0)
    assert [p.requires_grad for p in net.head.parameters()] == [True, True]
    assert not any(p.requires_grad for p in net.backbone.parameters())
    assert not any(module.training for module in net.backbone.modules())
    learning(net, strategy, 1)
    assert all(p.requires_grad for p in net.parameters())
    assert all(module.training for module in net.modules())
    with pytest.raises(ValueError, match="probe_share must be above 0 and below 1, got 1"):
        LPFT(probe_share=1.0)


def test_only_weights_that_were_trained_before_learn_at_the_rate_of_a_backbone() -> None:
    def rates(strategy: Strategy, weights: str) -> set[float]:
        backbone = TimmBackbone("tf_efficientnet_lite0", weights=weights, size=32)
        net = built(strategy, backbone)
        learner = Learner(net, strategy, SGD(lr=1.0, backbone_lr=0.1), seed=0)
        return {group["lr"] for group in learner.configure_optimizers().param_groups}

    assert rates(Finetune(), "package") == {0.1, 1.0}
    assert rates(Finetune(), "random") == {1.0}
    assert rates(FromScratch(), "package") == {1.0}  # its weights are new
