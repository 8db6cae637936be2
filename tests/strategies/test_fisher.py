"""The Fisher information against values worked out by hand, and against a slow, plain loop."""

import pytest
import torch
from torch import Tensor, nn

from tltool.backbones.base import Backbone, Net
from tltool.backbones.lenet import LeNet
from tltool.strategies.continual.fisher import exact_fisher


class Features(Backbone):
    """Layers whose features are so many."""

    def __init__(self, num_features: int, *layers: nn.Module) -> None:
        super().__init__()
        self.layers, self.num_features = nn.Sequential(*layers), num_features

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = self.layers(x)
        return features


def batch_of(x: Tensor, classes: int = 3) -> dict[str, Tensor]:
    return {"x": x, "classes": torch.ones(len(x), classes, dtype=torch.bool)}


def plain(net: Net, batch: dict[str, Tensor]) -> Tensor:
    """mean_x sum_c p_c (d log p_c / d theta)^2, term by term."""
    parameters, total = list(net.parameters()), torch.zeros(())
    for x, possible in zip(batch["x"], batch["classes"], strict=True):
        log_p = net(x.unsqueeze(0))[0, possible].log_softmax(dim=0)
        for c in range(len(log_p)):
            grads = torch.autograd.grad(log_p[c], parameters, retain_graph=True)
            squares = torch.cat([g.flatten() for g in grads]).square()
            total = total + log_p[c].exp().detach() * squares
    return total / len(batch["x"])


def test_logistic_regression_by_hand():
    """With two classes, and W the row of one of them: F = mean p (1 - p) x^2."""
    net = Net(Features(2, nn.Identity()), 2)
    x = torch.tensor([[1.0, 2.0], [3.0, -1.0], [0.5, 0.0]])
    p = net(x).softmax(dim=1)[:, 0].detach()
    weights = p * (1 - p)
    of_row = (weights.unsqueeze(1) * x.square()).mean(dim=0)
    wanted = torch.cat([of_row, of_row, weights.mean().repeat(2)])
    torch.testing.assert_close(exact_fisher(net, [batch_of(x, 2)]), wanted)


def test_it_is_not_the_square_of_the_mean_gradient():
    """Opposite inputs: mean gradients of a batch cancel, squares do not."""
    net = Net(Features(1, nn.Identity()), 2)
    with torch.no_grad():
        net.head.weight.zero_(), net.head.bias.zero_()
    fisher = exact_fisher(net, [batch_of(torch.tensor([[2.0], [-2.0]]), 2)])
    torch.testing.assert_close(fisher, torch.tensor([1.0, 1.0, 0.25, 0.25]))  # p (1 - p) = 1/4


def mlp() -> Net:
    relu = nn.ReLU(inplace=True)
    return Net(Features(5, nn.Flatten(), nn.Linear(16, 6), relu, nn.Linear(6, 5), relu), 3)


def convolutional() -> Net:
    layers = (nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(inplace=True), nn.Flatten())
    return Net(Features(4, *layers, nn.Linear(8, 4, bias=False), nn.ReLU(inplace=True)), 3).eval()


def shared() -> Net:
    """One layer used twice."""
    layer = nn.Linear(16, 16)
    return Net(Features(16, nn.Flatten(), layer, nn.Tanh(), layer), 3)


def tied() -> Net:
    """Two layers with one weight."""
    one, two = nn.Linear(16, 16), nn.Linear(16, 16)
    two.weight = one.weight
    return Net(Features(16, nn.Flatten(), one, nn.Tanh(), two), 3)


def over_positions() -> Net:
    """A layer that sees every example four times."""
    return Net(Features(12, nn.Flatten(1, 2), nn.Linear(4, 3), nn.Tanh(), nn.Flatten()), 3)


@pytest.mark.parametrize("make", [mlp, convolutional, shared, tied, over_positions])
def test_every_kind_of_layer_gets_what_the_plain_loop_gives(make):
    torch.manual_seed(0)
    net, x = make(), torch.randn(7, 1, 4, 4)
    wanted = plain(net, batch_of(x))
    found = exact_fisher(net, [batch_of(x[:4]), batch_of(x[4:])])  # whatever the batches
    assert (wanted > 0).float().mean() > 0.5
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-8)


def test_impossible_classes_count_for_nothing():
    torch.manual_seed(0)
    net, x = mlp(), torch.randn(4, 1, 4, 4)
    batch = batch_of(x)
    batch["classes"][:2, 0] = False
    batch["classes"][2:, 1] = False
    found = exact_fisher(net, [batch])
    torch.testing.assert_close(found, plain(net, batch), rtol=1e-4, atol=1e-8)
    only = {"x": x, "classes": torch.tensor([[True, True, False]]).repeat(4, 1)}
    assert (exact_fisher(net, [only])[-1], exact_fisher(net, [only])[-2] > 0) == (0, True)


def test_with_one_possible_class_nothing_is_known():
    batch = batch_of(torch.randn(4, 1, 4, 4))
    batch["classes"][:, 1:] = False
    assert not exact_fisher(mlp(), [batch]).any()


def test_inputs_may_be_dicts_of_tensors():
    class Second(Features):
        def forward(self, x):
            return self.layers(x["b"])

    torch.manual_seed(0)
    net = Net(Second(4, nn.Linear(4, 4, bias=False), nn.LayerNorm(4)), 3)
    b = torch.randn(5, 4)
    found = exact_fisher(net, [{**batch_of(b), "x": {"a": torch.zeros(5), "b": b}}])
    same = Net(Features(4, *net.backbone.layers), 3)
    same.head = net.head
    torch.testing.assert_close(found, plain(same, batch_of(b)), rtol=1e-4, atol=1e-8)


def test_the_network_is_left_as_it_was():
    torch.manual_seed(0)
    net = Net(LeNet(dropout=0.5, channels=1), 3).eval()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    exact_fisher(net, [batch_of(torch.randn(1, 1, 28, 28))])
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())
    assert all(p.grad is None for p in net.parameters())
    assert not any(module._forward_hooks for module in net.modules())
