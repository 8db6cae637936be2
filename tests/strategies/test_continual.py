"""EWC holds what it is to hold, replay weighs as it says, and both remember digits."""

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tltool.backbones.base import Net
from tltool.backbones.mlp import MLP
from tltool.losses.continual import masked_cross_entropy
from tltool.strategies.base import DataSpec
from tltool.strategies.continual.ewc import EWC, STRENGTHS, flat
from tltool.strategies.continual.fisher import exact_fisher
from tltool.strategies.continual.joint import Joint
from tltool.strategies.continual.naive import Naive
from tltool.strategies.continual.replay import Replay
from tltool.strategies.continual.stages import stage_per_context

SPEC = DataSpec(4, tuple("abcd"), {"source": 8}, contexts=3, scenario="class")


@dataclass
class Examples:
    """The data of a stage, as the run gives them."""

    batches: list[dict[str, Any]]

    def examples(self):
        return iter(self.batches)


@pytest.fixture
def net() -> Net:
    torch.manual_seed(0)
    return Net(MLP(width=5), 4).eval()


def batch(seed: int, size: int = 8) -> dict[str, Any]:
    torch.manual_seed(seed)
    classes = torch.ones(size, 4, dtype=torch.bool)
    return {"x": torch.rand(size, 1, 28, 28), "y": torch.randint(4, (size,)), "classes": classes}


def move(net: Net, seed: int) -> None:
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter += 0.05 * torch.randn_like(parameter)


def built(net: Net, strength: float | None = None, spec: DataSpec = SPEC) -> EWC:
    strategy = EWC(strength)
    strategy.build(net, spec)
    return strategy


def test_the_one_quadratic_is_the_sum_of_the_terms_of_all_contexts(net):
    ewc = built(net, strength=3.0)
    terms = []
    for stage in range(2):
        data = Examples([batch(10 + stage), batch(20 + stage)])
        ewc.end_stage(net, stage, data)
        terms.append((exact_fisher(net, data.examples()), flat(net).detach().clone()))
        move(net, stage)
    theta = flat(net).detach().requires_grad_()
    wanted = sum(3.0 / 2 * (fisher * (theta - then).square()).sum() for fisher, then in terms)
    loss = ewc.loss(net, batch(1), 0.0).terms["penalty"]
    assert wanted.item() > 1e-6
    torch.testing.assert_close(loss, wanted, rtol=1e-4, atol=0.0)
    grads = torch.autograd.grad(loss, list(net.parameters()))
    found = torch.cat([grad.flatten() for grad in grads])
    torch.testing.assert_close(found, torch.autograd.grad(wanted, theta)[0], rtol=1e-3, atol=1e-6)


def test_there_is_no_penalty_in_the_first_context_and_none_where_the_weights_were(net):
    ewc = built(net, strength=1e6)
    assert ewc.loss(net, batch(1), 0.0).terms["penalty"] == 0
    ewc.end_stage(net, 0, Examples([batch(2)]))
    losses = ewc.loss(net, batch(1), 0.0)
    assert losses.terms["penalty"] == 0 and ewc.precision.any()
    move(net, 0)
    assert ewc.loss(net, batch(1), 0.0).terms["penalty"] > 0


def test_after_the_last_context_nothing_is_computed(net):
    class Never:
        def examples(self):
            raise AssertionError("nothing is learned after this")

    ewc = built(net)
    ewc.end_stage(net, 2, Never())
    assert not ewc.precision.any()


def test_the_penalty_survives_a_checkpoint(net):
    ewc = built(net, strength=2.0)
    ewc.end_stage(net, 0, Examples([batch(2)]))
    move(net, 0)
    again = built(net, strength=2.0)
    again.load_state_dict(ewc.state_dict())
    ours, theirs = (one.loss(net, batch(1), 0.0).terms["penalty"] for one in (ewc, again))
    assert torch.equal(ours, theirs) and ours > 0


@pytest.mark.parametrize("scenario", list(STRENGTHS))
def test_the_strength_is_the_scenarios_unless_one_is_given(net, scenario):
    spec = DataSpec(4, tuple("abcd"), {}, contexts=2, scenario=scenario)
    assert built(net, spec=spec).weight == STRENGTHS[scenario]
    assert built(net, strength=7.0, spec=spec).weight == 7.0


def test_options_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="strength must not be negative, got -1"):
        EWC(-1.0)
    with pytest.raises(ValueError, match="memory must be at least 1, got 0"):
        Replay(0)


@pytest.mark.parametrize("stage", [1, 3])
def test_replay_weighs_the_new_context_as_one_of_k(net, stage):
    replay = Replay()
    replay.build(net, SPEC)
    replay.stage = stage
    new, old = batch(1), batch(2, size=6)
    losses = replay.loss(net, {**new, "memory": old}, 0.0)
    k = stage + 1

    def ce(part: dict[str, Any]) -> Tensor:
        return masked_cross_entropy(net(part["x"]), part["y"], part["classes"])

    torch.testing.assert_close(losses.terms["classification"], ce(new) / k)
    torch.testing.assert_close(losses.terms["memory"], (1 - 1 / k) * ce(old))
    torch.testing.assert_close(losses.total, ce(new) / k + (1 - 1 / k) * ce(old))


def test_replay_without_a_memory_is_naive(net):
    replay, naive = Replay(), Naive()
    ours, theirs = (one.loss(net, batch(1), 0.0) for one in (replay, naive))
    assert ours.terms.keys() == theirs.terms.keys() == {"classification"}
    assert torch.equal(ours.total, theirs.total)


def test_a_context_is_learned_among_its_own_classes(net):
    part = batch(1)
    part["y"] = part["y"] % 2
    part["classes"][:, 2:] = False
    loss = Naive().loss(net, part, 0.0).total
    loss.backward()
    assert isinstance(net.head, nn.Linear) and net.head.weight.grad is not None
    assert not net.head.weight.grad[2:].any() and net.head.weight.grad[:2].any()


def test_stages_are_the_contexts_and_one_optimiser_goes_through_them():
    stages = stage_per_context(3, memory=5)
    assert [stage.options for stage in stages] == [{"context": i, "memory": 5} for i in range(3)]
    assert [stage.keep_optimizer for stage in stages] == [False, True, True]
    assert len({stage.share for stage in stages}) == 1
    assert len(Joint().stages()) == 1 and "context" not in Joint().stages()[0].options


@pytest.mark.parametrize("strategy", [EWC(), Naive(), Replay(memory=7)])
def test_a_stage_for_every_context_of_the_data(net, strategy):
    strategy.build(net, SPEC)
    assert [stage.options["context"] for stage in strategy.stages()] == [0, 1, 2]
    assert {stage.options.get("memory") for stage in strategy.stages()} <= {None, 7}
