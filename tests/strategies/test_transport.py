"""OTDA moves features and refits the head; DeepJDOT adds what the plan costs."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from tltool.backbones.base import Backbone, Net
from tltool.data.preprocessing import Preprocessing
from tltool.losses.transport import joint_cost, optimal_plan
from tltool.strategies.adaptation.deepjdot import DeepJDOT
from tltool.strategies.adaptation.otda import OTDA
from tltool.strategies.base import Batch, DataSpec
from tltool.strategies.pairs import Pair

pytest.importorskip("ot")

SPEC = DataSpec(2, ("a", "b"), {"source": 40, "target": 40})


class Points(Backbone):
    """Points of the plane are their own features."""

    def __init__(self) -> None:
        super().__init__()
        self.num_features = 2
        self.preprocessing = Preprocessing()

    def forward(self, x: Tensor) -> Tensor:
        return x


class Rotated:
    """Two clouds, by class, and the same for the target turned by 40 degrees about the origin."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        self.y = torch.arange(40) % 2
        self.source = torch.randn(40, 2, generator=generator) * 0.3
        self.source[:, 0] += 4.0 * self.y - 2.0
        turn = torch.tensor([[0.7660, 0.6428], [-0.6428, 0.7660]])
        self.target = (self.source @ turn)[torch.randperm(40, generator=generator)]
        self.target_y = (self.target @ turn.T)[:, 0] > 0

    def examples(self, role: str | None = None) -> Iterator[Batch]:
        if role == "target":
            yield {"x": self.target, "index": torch.arange(40)}
        else:
            yield {"x": self.source, "y": self.y, "index": torch.arange(40)}


@pytest.mark.parametrize("method", ["sinkhorn_lpl1", "sinkhorn", "emd"])
def test_otda_refits_the_head_where_the_target_is(method: str) -> None:
    data, net = Rotated(), Net(Points(), 2)
    otda = OTDA(method=method)  # type: ignore[arg-type]
    otda.build(net, SPEC)
    otda.end_stage(net, 0, data)
    assert torch.equal(otda.predict(net, data.target).argmax(1), data.target_y.long())
    direction = net.head.weight[1] - net.head.weight[0]
    angle = torch.atan2(direction[1], direction[0]).rad2deg().item()
    assert angle == pytest.approx(40.0, abs=10.0)  # of the source: 0


def test_an_exact_plan_moves_each_example_onto_one() -> None:
    source, target = torch.tensor([[0.0, 0.0], [1.0, 0.0]]), torch.tensor([[1.0, 5.0], [0.0, 5.0]])
    moved = OTDA(method="emd").moved(source, torch.tensor([0, 1]), target)
    torch.testing.assert_close(moved, torch.tensor([[0.0, 5.0], [1.0, 5.0]]))


def test_a_very_smooth_plan_moves_all_to_the_mean() -> None:
    data = Rotated()
    moved = OTDA(method="sinkhorn", reg=1e4).moved(data.source, data.y, data.target)
    torch.testing.assert_close(moved, data.target.mean(0).expand(40, 2), atol=1e-3, rtol=0)


def test_otda_trains_on_the_source_alone() -> None:
    data, net = Rotated(), Net(Points(), 2)
    batch = {"source": next(data.examples()), "target": {"x": torch.full((1, 2), torch.nan)}}
    assert OTDA().loss(net, batch, 0.5).terms.keys() == {"classification"}
    assert torch.isfinite(OTDA().loss(net, batch, 0.5).total)


def pair() -> tuple[Net, Pair]:
    torch.manual_seed(0)
    net = Net(Points(), 3)
    source, target = (torch.randn(6, 2, requires_grad=True) for _ in range(2))
    pair = Pair(source, target, net.head(source), net.head(target), torch.arange(6) % 3, {})
    return net, pair


def test_deepjdots_term_is_the_least_cost_of_any_plan() -> None:
    net, both = pair()
    term = DeepJDOT(0.5, 2.0).transfer(net, both, 0.5).terms["transport"]
    cost = joint_cost(both.source, both.y, both.target, both.target_logits, 0.5, 2.0)
    torch.testing.assert_close(term, (optimal_plan(cost) * cost).sum())
    assert term <= cost.diagonal().mean()  # what the plan costs that moves each onto its neighbour
    assert term < cost.mean()  # what the plan costs that moves everything everywhere


def test_deepjdots_gradient_takes_the_plan_as_a_constant() -> None:
    net, both = pair()
    DeepJDOT(0.5, 0.0).transfer(net, both, 0.5).terms["transport"].backward()  # type: ignore[no-untyped-call]
    cost = joint_cost(both.source, both.y, both.target, both.target_logits, 0.5, 0.0)
    plan = optimal_plan(cost)
    expected = plan.sum(1, keepdim=True) * both.source - plan @ both.target  # 2 * 0.5 (f_s - f_t)
    torch.testing.assert_close(both.source.grad, expected.detach())
    assert both.target.grad is not None and both.target.grad.any()


def test_deepjdots_labels_teach_the_head_on_the_target() -> None:
    net, both = pair()
    DeepJDOT(0.0, 1.0).transfer(net, both, 0.5).terms["transport"].backward()  # type: ignore[no-untyped-call]
    assert isinstance(net.head, nn.Linear)
    assert net.head.weight.grad is not None and net.head.weight.grad.any()
    assert both.source.grad is None or not both.source.grad.any()


def test_wrong_options_are_refused() -> None:
    with pytest.raises(ValueError, match="reg must be above 0, got 0"):
        OTDA(reg=0)
    with pytest.raises(ValueError, match="class_reg and decay must not be negative, got -1 and"):
        OTDA(class_reg=-1)
    with pytest.raises(ValueError, match="most must be at least 2, got 1"):
        OTDA(most=1)
    with pytest.raises(ValueError, match="feature_weight and label_weight must not be negative"):
        DeepJDOT(feature_weight=-1)
    net = Net(Points(), 2)
    net.head = nn.Sequential(nn.Linear(2, 2))
    with pytest.raises(ValueError, match="strategy=otda wants a linear head, got Sequential"):
        OTDA().build(net, SPEC)
