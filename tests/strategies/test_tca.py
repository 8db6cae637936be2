"""Transfer components: what they are, and that any example has them."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from tltool.backbones.base import Backbone, Net
from tltool.data.preprocessing import Preprocessing
from tltool.strategies.adaptation.tca import TCA, Kernel, kernel_matrix, transfer_components
from tltool.strategies.base import Batch, DataSpec

SPEC = DataSpec(2, ("a", "b"), {"source": 60, "target": 60})


class Points(Backbone):
    """Points of space are their own features."""

    def __init__(self) -> None:
        super().__init__()
        self.num_features = 3
        self.preprocessing = Preprocessing()

    def forward(self, x: Tensor) -> Tensor:
        return x


class Shifted:
    """The class is in the first feature; domains differ in the second, which varies the most."""

    def __init__(self, numbers: bool = False) -> None:
        self.source, self.target = (
            torch.randn(60, 3, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1)
        )
        self.source[:, 1] -= 30.0
        self.target[:, 1] += 30.0
        self.source[:, 0] *= 4.0
        self.target[:, 0] *= 4.0
        self.y = self.source[:, 0] if numbers else (self.source[:, 0] > 0).long()

    def examples(self, role: str | None = None) -> Iterator[Batch]:
        if role == "target":
            yield {"x": self.target}
        else:
            yield {"x": self.source, "y": self.y}


def ended(tca: TCA, data: Shifted, spec: DataSpec = SPEC) -> Net:
    torch.manual_seed(0)
    net = Net(Points(), spec.num_classes)
    tca.build(net, spec)
    tca.end_stage(net, 0, data)
    return net


def test_the_first_component_avoids_what_tells_the_domains_apart() -> None:
    data = Shifted()
    tca = TCA(dims=1, mu=1e-4)
    net = ended(tca, data)
    weights = tca.anchors.T @ tca.projection[:, 0]  # of the features: the kernel is linear
    assert weights[0].abs() > 100 * weights[1].abs()
    correct = tca.predict(net, data.target).argmax(1) == (data.target[:, 0] > 0)
    assert correct.float().mean() > 0.9
    # Far more weight on |W|^2: what varies most is kept, and that is the shift.
    tca = TCA(dims=1, mu=1e6)
    ended(tca, data)
    weights = tca.anchors.T @ tca.projection[:, 0]
    assert weights[1].abs() > weights[0].abs()


@pytest.mark.parametrize("kernel", ["linear", "rbf"])
def test_components_solve_the_eigenvalue_problem_and_have_variance_1(kernel: Kernel) -> None:
    data, mu = Shifted(), 0.5
    x = torch.cat([data.source, data.target]).double() / 10
    k = kernel_matrix(x, x, kernel, torch.tensor(3.0))
    w, offset = transfer_components(k, 60, 2, mu)
    sign = torch.cat([torch.full((60,), 1 / 60), torch.full((60,), -1 / 60)]).double()
    centring = torch.eye(120).double() - 1 / 120
    left = k @ centring @ k @ w
    right = (k @ torch.outer(sign, sign) @ k + mu * torch.eye(120).double()) @ w
    values = (left * right).sum(0) / right.square().sum(0)
    torch.testing.assert_close(left, right * values, atol=1e-6, rtol=1e-6)
    assert values[0] > values[1] > 0
    components = k @ w - offset
    torch.testing.assert_close(components.mean(0), torch.zeros(2).double(), atol=1e-8, rtol=0)
    torch.testing.assert_close(components.T @ components / 120, torch.eye(2).double())


def test_kernels_by_hand() -> None:
    a, b = torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 1.0], [1.0, 2.0]])
    scale = torch.tensor(5.0)
    torch.testing.assert_close(kernel_matrix(a, b, "linear", scale), torch.tensor([[1.0, 1.0]]))
    # |a - b|^2 is 5 and 0
    expected = torch.tensor([[1.0, 0.0]]).neg().exp()
    torch.testing.assert_close(kernel_matrix(a, b, "rbf", scale), expected)


def test_components_that_there_are_not_are_zero() -> None:
    tca = TCA(dims=5)  # of a linear kernel on 3 features
    net = ended(tca, Shifted())
    found = tca.features(net, torch.randn(4, 3))
    assert torch.isfinite(found).all()
    assert found[:, :3].any() and found[:, 3:].abs().max() < 1e-3


def test_until_it_is_fitted_the_networks_own_head_predicts() -> None:
    net, tca, x = Net(Points(), 2), TCA(dims=2), torch.randn(4, 3)
    tca.build(net, SPEC)
    assert torch.equal(tca.predict(net, x), net(x))
    tca.end_stage(net, 0, Shifted())
    assert not torch.allclose(tca.predict(net, x), net(x))
    assert tca.features(net, x).shape == (4, 2)


def test_numbers_are_predicted_too() -> None:
    data = Shifted(numbers=True)
    tca = TCA(dims=1, mu=1e-4, decay=0.0)
    spec = DataSpec(1, (), {"source": 60, "target": 60}, regression=True)
    net = ended(tca, data, spec)
    error = (tca.predict(net, data.target)[:, 0] - data.target[:, 0]).abs().mean()
    assert error < 0.4  # of values that spread by 4


def test_anchors_are_as_many_as_are_asked_for() -> None:
    tca = TCA(dims=2, most=10)
    ended(tca, Shifted())
    assert tca.anchors.shape == (20, 3) and tca.anchors.any(1).all()


def test_wrong_options_are_refused() -> None:
    for options, message in (
        ({"dims": 0}, "dims must be at least 1, got 0"),
        ({"mu": 0}, "mu must be above 0, got 0"),
        ({"decay": -1}, "decay must not be negative, got -1"),
        ({"most": 1}, "most must be at least 2, got 1"),
    ):
        with pytest.raises(ValueError, match=message):
            TCA(**options)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="dims must be at most 20, the number of anchors: 32"):
        TCA(most=10).build(Net(Points(), 2), SPEC)
