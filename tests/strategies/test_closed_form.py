"""What is fitted on features: examples that are gathered, and linear layers."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from tltool.backbones.base import Backbone, Net
from tltool.data.preprocessing import Preprocessing
from tltool.strategies.base import Batch
from tltool.strategies.closed_form import Standardised, fit_linear, gather


class Same(Backbone):
    """Inputs are their own features."""

    def __init__(self) -> None:
        super().__init__()
        self.num_features = 3
        self.preprocessing = Preprocessing()

    def forward(self, x: Tensor) -> Tensor:
        return x


class Data:
    """50 examples in two batches; the target has no labels."""

    def __init__(self) -> None:
        self.x = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
        self.x = self.x * torch.tensor([1.0, 20.0, 0.1]) + 5.0
        self.y = (self.x[:, 0] > 5).long() + (self.x[:, 1] > 10).long()

    def examples(self, role: str | None = None) -> Iterator[Batch]:
        for rows in (slice(0, 30), slice(30, 50)):
            part = {"x": self.x[rows], "index": torch.arange(50)[rows]}
            yield part if role == "target" else {**part, "y": self.y[rows]}


def test_all_examples_are_gathered_in_their_order() -> None:
    data, net = Data(), Net(Same(), 3)
    features, y = gather(net, data, "source", most=50)
    assert torch.equal(features, data.x) and y is not None and torch.equal(y, data.y)
    features, y = gather(net, data, "target")
    assert torch.equal(features, data.x) and y is None


def test_the_same_few_are_drawn_every_time_whatever_was_drawn_before() -> None:
    data, net = Data(), Net(Same(), 3)
    first, y = gather(net, data, "source", most=10)
    torch.rand(3)
    again, _ = gather(net, data, "source", most=10)
    assert y is not None and first.shape == (10, 3) and torch.equal(first, again)
    rows = [int((data.x == one).all(1).nonzero()) for one in first]
    assert len(set(rows)) == 10 and rows != list(range(10))
    assert torch.equal(data.y[rows], y)


@pytest.mark.parametrize("classes", [2, 3])
def test_classes_are_fitted_as_sklearn_does(classes: int) -> None:
    data = Data()
    y, decay = data.y.clamp_max(classes - 1), 0.1
    linear = nn.Linear(3, classes)
    fit_linear(linear, data.x, y, decay)
    z = StandardScaler().fit_transform(data.x.numpy())
    if classes == 3:  # with two, sklearn has one row of weights, and so another penalty
        known = LogisticRegression(C=1 / (decay * 50), max_iter=1000, tol=1e-8).fit(z, y.numpy())
        found = linear(data.x).softmax(1).detach().numpy()
        np.testing.assert_allclose(found, known.predict_proba(z), atol=2e-4)
    assert (linear(data.x).argmax(1) == y).float().mean() > 0.8


def test_numbers_are_fitted_by_ridge_regression() -> None:
    data = Data()
    y = 2.0 * data.x[:, 0] - 0.1 * data.x[:, 1] + 7.0
    linear = nn.Linear(3, 1)
    fit_linear(linear, data.x, y, decay=0.2)
    z = StandardScaler().fit_transform(data.x.numpy())
    known = Ridge(alpha=0.2 * 50 / 2).fit(z, y.numpy())  # |Xw - y|^2 + alpha |w|^2
    np.testing.assert_allclose(linear(data.x).detach().numpy()[:, 0], known.predict(z), atol=1e-3)


def test_a_class_without_examples_is_never_predicted() -> None:
    data = Data()
    linear = nn.Linear(3, 5)
    fit_linear(linear, data.x, data.y, decay=0.01)
    assert torch.isfinite(linear.weight).all()
    assert linear(data.x).argmax(1).max() <= 2


def test_the_start_and_a_no_grad_around_it_are_no_matter() -> None:
    data, layers = Data(), (nn.Linear(3, 3), nn.Linear(3, 3))
    fit_linear(layers[0], data.x, data.y, 0.1)
    with torch.no_grad():
        fit_linear(layers[1], data.x, data.y, 0.1)
    assert torch.equal(layers[0].weight, layers[1].weight)


def test_a_layer_on_standardised_features_is_put_into_one_on_features() -> None:
    x = torch.cat([Data().x, torch.full((50, 1), 4.0)], dim=1)  # the last column is constant
    standardised = Standardised.of(x)
    torch.testing.assert_close(standardised.z.mean(0), torch.zeros(4), atol=1e-5, rtol=0)
    torch.testing.assert_close(standardised.z.var(0, unbiased=False), torch.tensor([1.0, 1, 1, 0]))
    linear, weight, bias = nn.Linear(4, 2), torch.randn(2, 4), torch.randn(2)
    standardised.put(linear, weight, bias)
    expected = standardised.z @ weight.T + bias
    torch.testing.assert_close(linear(x), expected, atol=1e-4, rtol=1e-4)
