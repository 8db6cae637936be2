"""What the fine-tuning strategies do to a network, beyond what every strategy is held to."""

from typing import Any

import torch

from tltool.backbones.base import Backbone, Net
from tltool.backbones.lenet import LeNet
from tltool.backbones.timm import TimmBackbone
from tltool.strategies.base import DataSpec, Strategy
from tltool.strategies.finetuning.from_scratch import FromScratch

SPEC = DataSpec(3, ("a", "b", "c"), {"source": 12})


def built(strategy: Strategy, backbone: Backbone | None = None) -> Net:
    """A network with the strategy built for it, the same one every time."""
    torch.manual_seed(0)
    net = Net(LeNet() if backbone is None else backbone, 3)
    strategy.build(net, SPEC)
    return net


def state(module: torch.nn.Module) -> dict[str, Any]:
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
