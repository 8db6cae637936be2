import pytest
import torch

from tltool.backbones.conv4 import Conv4
from tltool.config.instantiate import instantiate
from tltool.errors import UserError


@pytest.mark.parametrize(("size", "length"), [(28, 64), (32, 256), (84, 1600)])
def test_features_are_the_last_block(size: int, length: int) -> None:
    net = Conv4(size=size)
    assert net(torch.zeros(2, 1, size, size)).shape == (2, length)
    assert net.num_features == length
    assert (net.preprocessing.size, net.preprocessing.channels) == (size, 1)


def test_it_is_as_large_as_in_the_literature() -> None:
    # A 3x3 filter of each of 64 maps, 64 biases, 2 * 64 of BatchNorm; the first block has one map.
    assert sum(p.numel() for p in Conv4().parameters()) == 768 + 3 * 37_056


def test_it_takes_colour() -> None:
    net = Conv4(channels=3, hidden=8)
    assert net(torch.zeros(2, 3, 28, 28)).shape == (2, 8)
    assert len(net.preprocessing.mean) == len(net.preprocessing.std) == 3


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"channels": 2}, "channels must be 1 or 3, got 2"),
        ({"hidden": 0}, "hidden must be at least 1, got 0"),
        ({"size": 15}, "size must be at least 16, got 15"),
    ],
)
def test_what_cannot_work_is_refused_in_one_line(option: dict[str, int], message: str) -> None:
    with pytest.raises(UserError, match=f"^Conv4: {message}$"):
        instantiate({"_target_": "tltool.backbones.conv4.Conv4", **option})


def test_reset_draws_every_weight_again() -> None:
    net = Conv4()
    net(torch.rand(8, 1, 28, 28))  # moves the statistics of BatchNorm
    torch.manual_seed(5)
    net.reset()
    torch.manual_seed(5)
    fresh = Conv4().state_dict()
    assert all(torch.equal(tensor, fresh[name]) for name, tensor in net.state_dict().items())


def test_its_layer_groups_hold_every_parameter_once_from_input_to_output() -> None:
    net = Conv4(hidden=8)
    groups = net.layer_groups()
    assert [group[0].shape[1] for group in groups] == [1, 8, 8, 8]
    assert [id(p) for group in groups for p in group] == [id(p) for p in net.parameters()]
