"""AdaBN, SHOT and Tent: what they change after the source, and that they no longer see it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tltool.backbones.base import Net
from tltool.backbones.lenet import LeNet
from tltool.backbones.mlp import MLP
from tltool.data.datamodule import DataModule
from tltool.learner import Learner
from tltool.losses.self_training import centroid_labels, marginal_entropy, mean_entropy
from tltool.optim import SGD
from tltool.strategies.adaptation.adabn import AdaBN
from tltool.strategies.adaptation.shot import SHOT
from tltool.strategies.adaptation.tent import Tent
from tltool.strategies.base import DataSpec
from tltool.strategies.batch_norm import estimate_statistics

SPEC = DataSpec(3, ("a", "b", "c"), {"source": 12, "target": 12}, examples=30)
Run = Callable[..., dict[str, Any]]


@pytest.fixture
def net() -> Net:
    torch.manual_seed(0)
    return Net(LeNet(dropout=0.5), 3)


def target(sizes: tuple[int, ...] = (4, 4, 4)) -> list[dict[str, Tensor]]:
    torch.manual_seed(1)
    x = 2.0 + torch.randn(sum(sizes), 3, 28, 28)
    index = torch.arange(sum(sizes)) + 18
    return [{"x": a, "index": i} for a, i in zip(x.split(sizes), index.split(sizes), strict=True)]


class TargetOnly:
    """The data of a stage; its first role must not be asked for where that is the source's."""

    def __init__(self, batches: list[dict[str, Tensor]], roles: tuple[str | None, ...]) -> None:
        self.batches, self.roles = batches, roles

    def examples(self, role: str | None = None, shuffled: bool = False) -> Any:
        assert role in self.roles
        return iter(self.batches)


def into_batch_norm(net: Net, x: Tensor) -> Tensor:
    """What LeNet's BatchNorm is given, without dropout."""
    found: Tensor = net.eval().backbone.layers[:-2](x)
    return found.detach()


def test_the_statistics_are_those_of_the_target_whatever_the_order(net: Net) -> None:
    net.train()(torch.randn(8, 3, 28, 28))  # statistics of another domain
    parameters = [p.detach().clone() for p in net.parameters()]
    batches, norm = target(), net.backbone.layers[-2]
    given = [into_batch_norm(net, batch["x"]) for batch in batches]
    for order in ((0, 1, 2), (2, 0, 1)):
        data = TargetOnly([batches[i] for i in order], roles=("target",))
        AdaBN().end_stage(net, 0, data)
        # Of batches of one size: the mean of all examples, and the mean of the batches' variances.
        torch.testing.assert_close(norm.running_mean, torch.cat(given).mean(dim=0))
        variance = torch.stack([one.var(dim=0) for one in given]).mean(dim=0)
        torch.testing.assert_close(norm.running_var, variance)
    assert all(torch.equal(p, q) for p, q in zip(net.parameters(), parameters, strict=True))
    assert norm.momentum == 0.1 and not net.training


def test_a_smaller_batch_weighs_less_and_a_single_example_nothing(net: Net) -> None:
    batches, norm = target((6, 2, 1)), net.backbone.layers[-2]
    given = [into_batch_norm(net, batch["x"]) for batch in batches[:2]]
    estimate_statistics(net, batches)
    torch.testing.assert_close(norm.running_mean, torch.cat(given).mean(dim=0))
    wanted = 0.75 * given[0].var(dim=0) + 0.25 * given[1].var(dim=0)
    torch.testing.assert_close(norm.running_var, wanted)


def test_a_network_without_the_layers_is_refused() -> None:
    mlp = Net(MLP(width=5), 3)
    with pytest.raises(ValueError, match="this backbone has no such layer: type backbone="):
        AdaBN().build(mlp, SPEC)
    with pytest.raises(ValueError, match="neither BatchNorm nor LayerNorm: type backbone="):
        Tent().build(mlp, SPEC)


def test_shot_learns_smoothed_labels_then_information_and_pseudo_labels(net: Net) -> None:
    shot = SHOT(pseudo_label=0.5)
    shot.build(net, SPEC)
    batches = target()
    source = {"x": batches[0]["x"], "y": torch.tensor([0, 1, 2, 0])}
    net.backbone.eval()  # no dropout: the same logits again
    logits = net(source["x"])
    # 0.9 of the label's log-probability, and 0.1 of the mean of all.
    log_p = logits.log_softmax(dim=1)
    wanted = -(0.9 * log_p[torch.arange(4), source["y"]] + 0.1 * log_p.mean(dim=1)).mean()
    torch.testing.assert_close(shot.loss(net, source, 0.0).terms["smoothed"], wanted)

    shot.stage = 1
    shot.begin_stage(net, 1, TargetOnly(batches, roles=(None,)))
    x = torch.cat([batch["x"] for batch in batches])
    labels = centroid_labels(net.features(x), net(x).softmax(dim=1))
    assert torch.equal(shot.pseudo_labels[18:], labels)
    assert not shot.pseudo_labels[:18].any()
    terms = shot.loss(net, batches[1], 0.0).terms
    logits = net(batches[1]["x"])
    torch.testing.assert_close(terms["entropy"], mean_entropy(logits))
    torch.testing.assert_close(terms["diversity"], -marginal_entropy(logits))
    wanted = 0.5 * F.cross_entropy(logits, labels[4:8])
    torch.testing.assert_close(terms["pseudo_label"], wanted)


def test_shot_freezes_the_head_and_goes_on_with_its_optimiser(net: Net) -> None:
    shot = SHOT(rounds=3, source_share=0.4)
    shot.build(net, SPEC)
    stages = shot.stages()
    assert [stage.feed for stage in stages] == ["plain", None, None, None]
    assert [stage.share for stage in stages] == pytest.approx([0.4, 0.2, 0.2, 0.2])
    assert [stage.keep_optimizer for stage in stages] == [False, False, True, True]
    learner = Learner(net, shot, SGD(), seed=0)
    for stage, frozen in ((0, False), (1, True)):
        learner.start_stage(stage, 5)
        learner.configure_optimizers()
        learner.train()
        assert all(p.requires_grad != frozen for p in net.head.parameters())
        assert all(p.requires_grad for p in net.backbone.parameters())
        assert net.head.training != frozen


def test_tent_moves_scale_and_shift_alone_by_statistics_of_the_batch(net: Net) -> None:
    tent = Tent(lr_scale=1.0)
    tent.build(net, SPEC)
    learner = Learner(net, tent, SGD(lr=1.0), seed=0)
    learner.start_stage(1, 5)
    tent.stage = 1
    optimizer = learner.configure_optimizers()
    learner.train()
    norm = net.backbone.layers[-2]
    assert norm.training and not net.backbone.layers[0].training and not net.head.training
    before = {name: value.clone() for name, value in net.named_parameters()}
    loss = tent.loss(net, target((12,))[0], 0.0)
    loss.total.backward()
    optimizer.step()
    moved = {n for n, value in net.named_parameters() if not torch.equal(value, before[n])}
    assert moved == {"backbone.layers.12.weight", "backbone.layers.12.bias"}
    assert norm.num_batches_tracked == 1


def test_tent_trains_layer_norm_where_there_is_no_batch_norm() -> None:
    net = Net(MLP(width=5), 3)
    net.backbone.layers.append(nn.LayerNorm(5))
    tent = Tent()
    tent.build(net, SPEC)
    (group,) = tent.param_groups(net, 1)
    wanted = net.backbone.layers[-1].parameters()
    assert [id(p) for p in group["params"]] == [id(p) for p in wanted]
    tent.end_stage(net, 1, TargetOnly([], roles=()))  # has no statistics to estimate


def test_tent_ends_with_the_statistics_of_the_target(net: Net) -> None:
    given = torch.cat([into_batch_norm(net, batch["x"]) for batch in target()])
    Tent().end_stage(net, 0, TargetOnly([], roles=()))  # after the source it does nothing
    Tent().end_stage(net, 1, TargetOnly(target(), roles=(None,)))
    torch.testing.assert_close(net.backbone.layers[-2].running_mean, given.mean(dim=0))


@pytest.mark.parametrize(
    ("kind", "options", "line"),
    [
        (SHOT, {"rounds": -1}, "rounds must not be negative, got -1"),
        (SHOT, {"pseudo_label": -1.0}, "pseudo_label must not be negative"),
        (SHOT, {"smoothing": 1.0}, "smoothing must be at least 0 and below 1, got 1.0"),
        (SHOT, {"source_share": 1.0}, "source_share must be above 0 and below 1"),
        (SHOT, {"lr_scale": 0.0}, "lr_scale must be above 0"),
        (Tent, {"source_share": 0.0}, "source_share must be above 0 and below 1, got 0.0"),
        (Tent, {"lr_scale": 0.0}, "lr_scale must be above 0"),
    ],
)
def test_wrong_options_are_refused(kind, options, line) -> None:
    with pytest.raises(ValueError, match=line):
        kind(**options)


@pytest.mark.parametrize("strategy", ["adabn", "shot", "tent"])
def test_after_the_source_nothing_of_it_is_seen(
    strategy: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the number of each example that a later stage, or an end of a stage, is given."""
    seen: dict[str, set[int]] = {"source": set(), "target": set()}
    real_step, real_examples = Learner.training_step, DataModule.examples

    def domains(data: DataModule) -> dict[int, str]:
        return {int(i): domain for (domain, _), rows in data.table.rows.items() for i in rows}

    def step(self: Learner, batch: Any, batch_idx: int) -> None:
        if self.stage > 0:
            assert batch.keys() == {"x", "index"}
            of = domains(self.trainer.datamodule)
            for i in batch["index"].tolist():
                seen[of[i]].add(i)
        real_step(self, batch, batch_idx)

    def examples(self: DataModule, *args: Any) -> Any:
        of = domains(self)
        for batch in real_examples(self, *args):
            assert "y" not in batch
            for i in batch["index"].tolist():
                seen[of[i]].add(i)
            yield batch

    monkeypatch.setattr(Learner, "training_step", step)
    monkeypatch.setattr(DataModule, "examples", examples)
    run(tmp_path, f"strategy={strategy}")
    assert not seen["source"]
    assert len(seen["target"]) == 45  # all of its training split, nothing of its test
