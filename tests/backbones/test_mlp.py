import pytest
import torch

from tltool.backbones.mlp import MLP
from tltool.config.instantiate import instantiate
from tltool.errors import UserError


@pytest.mark.parametrize("channels", [1, 3])
def test_maps_images_to_features_as_long_as_its_width(channels: int) -> None:
    net = MLP(width=32, channels=channels)
    assert net(torch.rand(4, channels, 28, 28)).shape == (4, 32)
    assert net.num_features == 32
    assert net.provenance["weights"] == "random"


def test_it_sees_raw_pixels_in_0_to_1() -> None:
    preprocessing = MLP().preprocessing
    assert (preprocessing.size, preprocessing.channels) == (28, 1)
    assert (preprocessing.mean, preprocessing.std) == ((0.0,), (1.0,))


def test_by_default_it_has_the_two_layers_of_the_protocol() -> None:
    assert [tuple(p.shape) for p in MLP().parameters() if p.ndim == 2] == [(400, 784), (400, 400)]


def test_its_layer_groups_hold_every_parameter_once_from_input_to_output() -> None:
    net = MLP(width=8, depth=3)
    groups = net.layer_groups()
    assert [group[0].shape[1] for group in groups] == [784, 8, 8]
    assert [id(p) for group in groups for p in group] == [id(p) for p in net.parameters()]


def test_reset_draws_every_weight_again() -> None:
    net = MLP(width=8)
    torch.manual_seed(5)
    net.reset()
    torch.manual_seed(5)
    fresh = MLP(width=8).state_dict()
    assert all(torch.equal(tensor, fresh[name]) for name, tensor in net.state_dict().items())


@pytest.mark.parametrize(
    ("option", "said"),
    [("width", "width and depth"), ("depth", "width and depth"), ("channels", "1 or 3, got 0")],
)
def test_sizes_that_cannot_be_are_refused_in_one_line(option: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        instantiate({"_target_": "tltool.backbones.mlp.MLP", option: 0})
