import pytest
import torch

from tltool.backbones.lenet import LeNet
from tltool.config.instantiate import instantiate
from tltool.errors import UserError


@pytest.mark.parametrize("channels", [1, 3])
def test_maps_digits_to_features_as_long_as_the_bottleneck(channels: int) -> None:
    net = LeNet(channels=channels, bottleneck=32)
    assert net(torch.zeros(4, channels, 28, 28)).shape == (4, 32)
    assert net.num_features == 32
    assert net.preprocessing.size == 28
    assert net.preprocessing.channels == channels
    assert len(net.preprocessing.mean) == len(net.preprocessing.std) == channels
    assert net.provenance["weights"] == "random"


def test_dropout_is_an_option() -> None:
    x = torch.randn(8, 3, 28, 28)
    certain, random = LeNet(dropout=0.0), LeNet(dropout=0.9)
    assert torch.equal(certain(x), certain(x))
    assert not torch.equal(random(x), random(x))


@pytest.mark.parametrize("channels", [0, 2, 4])
def test_other_channels_are_refused_in_one_line(channels: int) -> None:
    with pytest.raises(UserError, match=rf"^LeNet: channels must be 1 or 3, got {channels}$"):
        instantiate({"_target_": "tltool.backbones.lenet.LeNet", "channels": channels})


def test_reset_draws_every_weight_again() -> None:
    net = LeNet()
    net(torch.randn(8, 3, 28, 28))  # moves the statistics of BatchNorm
    torch.manual_seed(5)
    net.reset()
    torch.manual_seed(5)
    fresh = LeNet().state_dict()
    assert all(torch.equal(tensor, fresh[name]) for name, tensor in net.state_dict().items())


def test_its_layer_groups_hold_every_parameter_once_from_input_to_output() -> None:
    net = LeNet(bottleneck=32)
    groups = net.layer_groups()
    assert [group[0].shape[0] for group in groups] == [20, 50, 500, 32]
    assert [id(p) for group in groups for p in group] == [id(p) for p in net.parameters()]
