"""Hard sharing learns all tasks through one backbone; its control shares nothing."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tltool.backbones.base import Net
from tltool.backbones.lenet import LeNet
from tltool.strategies.base import Batch, DataSpec, Strategy
from tltool.strategies.multitask.hard_sharing import HardSharing
from tltool.strategies.multitask.single_task import SingleTask
from tltool.strategies.pipeline import Pipeline

# A name with a dot and one of a method of nn.ModuleDict: both are what a column may be called.
TASKS = {"items": ("a", "b", "c"), "x.y": ("no", "yes")}
SPEC = DataSpec(3, TASKS["items"], {"source": 6}, TASKS)


def built(strategy: Strategy) -> Net:
    torch.manual_seed(0)
    net = Net(LeNet(dropout=0.0), 3)
    strategy.build(net, SPEC)
    strategy.begin_stage(net, 0, data=None)  # type: ignore[arg-type]
    return net


def batch() -> Batch:
    torch.manual_seed(1)
    y = {"items": torch.tensor([0, 1, 2, 0, -1, 1]), "x.y": torch.tensor([1, 0, 1, -1, 0, 0])}
    return {"x": torch.randn(6, 3, 28, 28), "y": y}


def gradients(loss: Tensor, parameters: list[Tensor]) -> list[Tensor | None]:
    return list(torch.autograd.grad(loss, parameters, allow_unused=True, retain_graph=True))


@pytest.mark.parametrize("kind", [HardSharing, SingleTask])
def test_each_task_has_its_logits_and_its_loss_over_the_labels_that_are_known(
    kind: type[Strategy],
) -> None:
    strategy, data = kind(), batch()
    net = built(strategy)
    logits = strategy.predict_tasks(net, data["x"])
    assert {task: tuple(one.shape) for task, one in logits.items()} == {
        "items": (6, 3),
        "x.y": (6, 2),
    }
    assert torch.equal(strategy.predict(net, data["x"]), logits["items"])
    losses = strategy.loss(net, data, 0.0)
    items = F.cross_entropy(logits["items"][[0, 1, 2, 3, 5]], torch.tensor([0, 1, 2, 0, 1]))
    other = F.cross_entropy(logits["x.y"][[0, 1, 2, 4, 5]], torch.tensor([1, 0, 1, 0, 0]))
    torch.testing.assert_close(losses.terms["classification_items"], items)
    torch.testing.assert_close(losses.terms["classification_x.y"], other)
    torch.testing.assert_close(losses.total, items + other)
    both = losses.metrics["accuracy_items"] + losses.metrics["accuracy_x.y"]
    torch.testing.assert_close(losses.metrics["accuracy"], both / 2)


def test_hard_sharing_sends_every_tasks_gradient_into_the_one_backbone() -> None:
    strategy = HardSharing()
    net = built(strategy)
    terms = strategy.loss(net, batch(), 0.0).terms
    shared = list(net.backbone.parameters())
    parts = [gradients(term, shared) for term in terms.values()]
    total = gradients(sum(terms.values()), shared)  # type: ignore[arg-type]
    for first, second, whole in zip(*parts, total, strict=True):
        assert first is not None and second is not None and whole is not None
        assert first.any() and second.any()
        torch.testing.assert_close(whole, first + second)


def test_single_task_shares_nothing() -> None:
    strategy = SingleTask()
    net = built(strategy)
    terms = list(strategy.loss(net, batch(), 0.0).terms.values())
    networks = [net.backbone, *strategy.others]
    for i, term in enumerate(terms):
        for j, network in enumerate(networks):
            reached = [g is not None for g in gradients(term, list(network.parameters()))]
            assert reached == [i == j] * len(reached)


def test_single_task_starts_all_networks_from_the_weights_of_a_step_before() -> None:
    strategy = SingleTask()
    net = built(strategy)
    with torch.no_grad():
        for parameter in net.backbone.parameters():
            parameter += 1.0
    strategy.begin_stage(net, 0, data=None)  # type: ignore[arg-type]
    for name, tensor in net.backbone.state_dict().items():
        assert torch.equal(strategy.others[0].state_dict()[name], tensor)


@pytest.mark.parametrize("kind", [HardSharing, SingleTask])
def test_the_networks_own_head_is_not_trained(kind: type[Strategy]) -> None:
    strategy = kind()
    net = built(strategy)
    trained = {id(p) for group in strategy.param_groups(net, 0) for p in group["params"]}
    everything = {id(p) for p in [*net.parameters(), *strategy.parameters()]}
    assert everything - trained == {id(p) for p in net.head.parameters()}


def test_a_pipeline_predicts_the_tasks_of_its_last_step() -> None:
    strategy = Pipeline([SingleTask(), HardSharing()])
    net, x = built(strategy), batch()["x"]
    assert strategy.predict_tasks(net, x).keys() == TASKS.keys()


def test_a_strategy_of_one_task_predicts_the_label() -> None:
    torch.manual_seed(0)
    net, x = Net(LeNet(), 3).eval(), batch()["x"]
    assert torch.equal(Strategy().predict_tasks(net, x)["label"], net(x))
