"""What the methods of domain generalisation do that training on all sources does not."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from tltool.backbones.base import Backbone, Net
from tltool.backbones.lenet import LeNet
from tltool.config.compose import resolve
from tltool.data.readers import checked_reader
from tltool.errors import UserError
from tltool.run.build import build
from tltool.strategies.base import DataSpec, Strategy
from tltool.strategies.generalisation.environments import annealed
from tltool.strategies.generalisation.erm import ERM
from tltool.strategies.generalisation.group_dro import GroupDRO
from tltool.strategies.generalisation.irm import IRM
from tltool.strategies.generalisation.mixup import Mixup, next_in_circle
from tltool.strategies.generalisation.swad import SWAD
from tltool.strategies.generalisation.vrex import VREx

SPEC = DataSpec(2, ("no", "yes"), {"source": 4000}, sources=("a", "b"))
Batch = dict[str, Tensor]


class Scaled(Backbone):
    """Two features, each times a weight."""

    num_features = 2

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(2))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight


def world(agreement: float, generator: torch.Generator, size: int = 2000) -> tuple[Tensor, Tensor]:
    """Labels, and two signs: one right in 75 % of all worlds, one that agrees as often as said."""
    y = torch.rand(size, generator=generator) < 0.5
    shape = y ^ (torch.rand(size, generator=generator) < 0.25)
    colour = y ^ (torch.rand(size, generator=generator) >= agreement)
    return torch.stack([shape, colour], dim=1).float() * 2 - 1, y.long()


def on_a_shortcut(strategy: Strategy) -> float:
    """Returns the accuracy where the colour is wrong, having been right in 90 % and 70 %."""
    generator = torch.Generator().manual_seed(0)
    (x_a, y_a), (x_b, y_b) = world(0.9, generator), world(0.7, generator)
    domain = torch.arange(2).repeat_interleave(len(y_a))
    batch = {"x": torch.cat([x_a, x_b]), "y": torch.cat([y_a, y_b]), "domain": domain}
    torch.manual_seed(0)
    net = Net(Scaled(), 2)
    strategy.build(net, SPEC)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.05)
    for step in range(300):
        loss = strategy.loss(net, batch, step / 300).total
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    x, y = world(0.1, generator)
    return float((net(x).argmax(dim=1) == y).float().mean())


@pytest.mark.parametrize(
    ("strategy", "learned"),
    [(ERM(), False), (IRM(100.0), True), (VREx(10.0), True), (GroupDRO(0.1), True)],
    ids=lambda one: type(one).__name__,
)
def test_a_shortcut_that_the_sources_disagree_on(strategy: Strategy, learned: bool) -> None:
    """By the shape .75 are right in every world, by the colour .9, .7 and then .1."""
    assert on_a_shortcut(strategy) == pytest.approx(0.75 if learned else 0.1, abs=0.03)


def batch_of(sources: int = 3, size: int = 4) -> Batch:
    torch.manual_seed(1)
    number = sources * size
    domain = torch.arange(sources).repeat_interleave(size)
    return {"x": torch.randn(number, 1, 28, 28), "y": torch.arange(number) % 2, "domain": domain}


@pytest.fixture
def net() -> Net:
    torch.manual_seed(0)
    return Net(LeNet(dropout=0.0, channels=1), 2)


def built(strategy: Any, net: Net, sources: int = 3) -> Any:
    strategy.build(net, DataSpec(2, ("no", "yes"), {}, sources=tuple("abcdef"[:sources])))
    return strategy


def risks(net: Net, batch: Batch, sources: int = 3) -> Tensor:
    logits = net(batch["x"])
    inside = [batch["domain"] == e for e in range(sources)]
    return torch.stack([F.cross_entropy(logits[i], batch["y"][i]) for i in inside])


def test_the_weight_of_a_penalty_rises_once() -> None:
    assert [annealed(100.0, 0.1, p) for p in (0.0, 0.09, 0.1, 1.0)] == [1.0, 1.0, 100.0, 100.0]
    assert annealed(0.5, 0.1, 0.0) == 0.5  # never above what it will be
    assert annealed(0.0, 0.1, 0.0) == annealed(0.0, 0.1, 1.0) == 0.0


@pytest.mark.parametrize(("progress", "weight"), [(0.0, 1.0), (0.5, 10.0)])
def test_vrex_adds_the_variance_and_divides_by_the_weight(
    net: Net, progress: float, weight: float
) -> None:
    batch, strategy = batch_of(), built(VREx(10.0), net)
    expected = risks(net, batch)
    terms = strategy.loss(net, batch, progress).terms
    torch.testing.assert_close(terms["classification"], expected.mean() / weight)
    torch.testing.assert_close(terms["penalty"], expected.var(correction=0))


def test_group_dro_weighs_the_sources_by_what_was_lost(net: Net) -> None:
    batch, strategy = batch_of(), built(GroupDRO(0.5), net)
    weights = torch.full((3,), 1 / 3)
    for _ in range(2):
        expected = risks(net, batch)
        weights = weights * (0.5 * expected.detach()).exp()
        weights = weights / weights.sum()
        losses = strategy.loss(net, batch, 0.0)
        torch.testing.assert_close(strategy.weights, weights)
        torch.testing.assert_close(losses.terms["classification"], (weights * expected).sum())
    assert "weights" in strategy.state_dict() and not strategy.weights.requires_grad
    losses.total.backward()  # the weights moved since, and the graph has its own


def test_mixup_pairs_every_source_with_another() -> None:
    for number in (2, 3, 5):
        at = 0
        partner = next_in_circle(number, torch.device("cpu")).tolist()
        visited = [at := partner[at] for _ in range(number)]
        assert sorted(visited) == list(range(number))  # one circle through all of them


def test_mixup_mixes_inputs_and_labels_alike(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two sources, of inputs 0 and 1 and of classes 0 and 1: the input is the label's share."""
    seen = {}

    def spy(x: Tensor) -> Tensor:
        seen["x"] = x
        return torch.stack([torch.zeros(len(x)), x.flatten(1)[:, 0]], dim=1)

    strategy = built(Mixup(alpha=1.0), net, 2)
    monkeypatch.setattr(net, "forward", spy)
    y = torch.tensor([0, 0, 0, 1, 1, 1])
    batch = {"x": y.float().view(6, 1, 1, 1).expand(6, 1, 2, 2), "y": y}
    torch.manual_seed(0)
    loss = strategy.loss(net, batch, 0.0).terms["mixup"]
    share = seen["x"].flatten(1)[:, 0]  # of class 1
    assert len(share.unique()) == 2 and ((0 < share) & (share < 1)).all()
    logits = torch.stack([torch.zeros(6), share], dim=1)
    log_p = logits.log_softmax(dim=1)
    wanted = -((1 - share) * log_p[:, 0] + share * log_p[:, 1]).mean()
    torch.testing.assert_close(loss, wanted)


class Examples:
    """Stage data that holds one batch."""

    def __init__(self, x: Tensor) -> None:
        self.x = x

    def examples(self, role: str | None = None, shuffled: bool = False) -> Any:
        assert shuffled  # folders are read class by class
        yield {"x": self.x, "index": torch.arange(len(self.x))}


def test_swad_predicts_with_the_mean_of_the_last_weights(net: Net) -> None:
    strategy, batch = built(SWAD(start=0.5), net), batch_of()
    states = []
    for step in range(4):
        strategy.loss(net, batch, step / 4)
        with torch.no_grad():
            for parameter in net.parameters():
                parameter += 0.1 * torch.randn_like(parameter)
        strategy.after_step(net)
        states.append([parameter.detach().clone() for parameter in net.parameters()])
        counted = strategy._of(net) is not net
        assert counted == (step >= 2)
    net.eval(), strategy.eval()  # as the run does
    strategy.end_stage(net, 0, Examples(batch["x"]))
    for parameter, third, fourth in zip(net.parameters(), states[2], states[3], strict=True):
        torch.testing.assert_close(parameter.detach(), (third + fourth) / 2)
    # The statistics are those of the mean: in training mode, by its batch, it gives the same mean.
    norm = next(m for m in net.modules() if isinstance(m, nn.BatchNorm1d))
    before = nn.Sequential(*list(net.backbone.layers)[:-2])(batch["x"])
    torch.testing.assert_close(norm.running_mean, before.mean(dim=0), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(norm.running_var, before.var(dim=0), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(strategy.predict(net, batch["x"]), net(batch["x"]))


def test_swad_that_never_starts_leaves_the_network_as_it_is(net: Net) -> None:
    strategy, batch = built(SWAD(start=1.0), net), batch_of()
    strategy.loss(net, batch, 0.99)
    strategy.after_step(net)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    strategy.end_stage(net, 0, Examples(batch["x"]))
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (lambda: IRM(trade_off=-1.0), "trade_off must not be negative, got -1.0"),
        (lambda: VREx(anneal=1.5), r"anneal must be in \[0, 1\], got 1.5"),
        (lambda: GroupDRO(eta=-0.1), "eta must not be negative, got -0.1"),
        (lambda: Mixup(alpha=-0.1), "alpha must not be negative, got -0.1"),
        (lambda: SWAD(start=2.0), r"start must be in \[0, 1\], got 2.0"),
    ],
)
def test_wrong_options_are_refused(make: Callable[[], Strategy], line: str) -> None:
    with pytest.raises(ValueError, match=line):
        make()


def test_irm_says_when_the_penalty_has_won() -> None:
    fine = [{"train/accuracy": a} for a in (0.3, 0.9, 0.8, 0.7, 0.6, 0.5)]
    assert IRM().diagnose(fine) == []
    [line] = IRM().diagnose([*fine, *[{"train/accuracy": 0.1}] * 5])
    assert line.startswith("accuracy fell from 0.900 to 0.100")


@pytest.mark.parametrize("strategy", ["erm", "irm", "vrex", "group_dro", "mixup", "swad"])
def test_one_source_is_refused_in_a_line(strategy: str, domains: Any) -> None:
    given = [*domains.overrides(), f"strategy={strategy}", "experiment=smoke", "hardware=cpu"]
    config = resolve(given).config
    with pytest.raises(UserError) as caught:
        build(config, checked_reader(config["dataset"]))
    [line] = caught.value.problems
    assert line.endswith("and the dataset has one: type dataset.source=[A,B]")


def test_learning_from_all_sources_is_source_only_in_larger_batches(
    data_for: Callable[[str], list[str]], run: Any, tmp_path: Path
) -> None:
    """Which is why `erm`, and not it, is the control."""
    given = data_for("sources")
    few = run(tmp_path / "erm", *given, "strategy=erm", "dataset.batch_size=8")
    many = run(tmp_path / "source_only", *given, "dataset.batch_size=16")
    assert few["metrics"] == many["metrics"]


def test_adaptation_from_several_sources_learns_what_source_only_does(
    data_for: Callable[[str], list[str]], run: Any, tmp_path: Path
) -> None:
    given, limit = data_for("sources"), ("strategy.trade_off=0", "strategy.batch_norm=separate")
    run(tmp_path / "dann", *given, "strategy=dann", *limit)
    run(tmp_path / "plain", *given)
    dann, plain = (load_file(tmp_path / name / "model.safetensors") for name in ("dann", "plain"))
    for name in plain:
        if "running_" not in name and "num_batches" not in name:
            torch.testing.assert_close(dann[name], plain[name])
    splits = (tmp_path / "plain/splits.csv").read_text()
    assert "source,train,source/train/high/0.png\n" in splits
    assert "source,train,bright/train/high/0.png\n" in splits
