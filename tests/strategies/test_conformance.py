"""What every strategy is held to; it finds them in conf/strategy, and knows none by name."""

import copy
import itertools
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

import tltool.run.build as build_module
from tltool.config.compose import resolve
from tltool.config.options import options
from tltool.data.cache import Arrays
from tltool.data.readers import checked_reader
from tltool.learner import Learner
from tltool.run.apply import evaluate_run
from tltool.run.build import Parts, build
from tltool.run.signals import Interrupted
from tltool.strategies.base import Strategy

STRATEGIES = [option.name for option in options("strategy")]
EPOCH = 3  # steps: 45 images in batches of 16
Run = Callable[..., dict[str, Any]]

pytestmark = pytest.mark.parametrize("strategy", STRATEGIES)


def weights(path: Path) -> dict[str, torch.Tensor]:
    return load_file(path / "model.safetensors")


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


@pytest.fixture
def parts(domains: Any, strategy: str) -> Parts:
    """Everything of a run, before its first step."""
    return _build(domains, strategy)


def _build(domains: Any, strategy: str, *overrides: str) -> Parts:
    given = [*domains.overrides(), "experiment=smoke", "hardware=cpu", f"strategy={strategy}"]
    config = resolve([*given, *overrides]).config
    return build(config, checked_reader(config["dataset"]))


def _first_batch(parts: Parts) -> Any:
    stage = parts.model.strategy.stages()[0]
    batch = parts.datamodule.feed(stage.feed or parts.model.strategy.feed)[0]
    return parts.datamodule.on_after_batch_transfer(batch, 0)


def _train(learner: Learner, batch: Any, steps: int, lr: float) -> dict[str, float]:
    """Trains on one batch, over and over; returns the last terms and metrics."""
    strategy, net = learner.strategy, learner.net
    learner.optimizer_config.lr = lr
    optimizer = learner.configure_optimizers()
    learner.train()

    def minimise(loss: torch.Tensor) -> None:
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    for _ in range(steps):
        if strategy.manual:
            losses = strategy.step(net, batch, 0.0, minimise)
        else:
            losses = strategy.loss(net, batch, 0.0)
            minimise(losses.total)
        strategy.after_step(net)
    shown = {**losses.terms, **losses.metrics}
    return {name: value.detach().item() for name, value in shown.items()}


def test_smoke_run_from_its_yaml(strategy: str, run: Run, tmp_path: Path) -> None:
    results = run(tmp_path, f"strategy={strategy}", "report=true")
    assert results["status"] == "done"
    assert results["strategy"] == strategy
    assert 0 <= results["metrics"]["target_test/accuracy"] <= 1
    for name in ("config.yaml", "record.json", "results.json", "metrics.csv", "model.safetensors"):
        assert (tmp_path / name).stat().st_size > 0
    assert "<svg" in (tmp_path / "report.html").read_text()


def test_overfits_one_batch(strategy: str, domains: Any) -> None:
    # Adam, since random features of a frozen backbone may be of any scale.
    parts = _build(domains, strategy, "optimizer=adamw")
    torch.manual_seed(0)
    batch = _first_batch(parts)
    last = _train(parts.model.learner, batch, steps=100, lr=0.02)
    assert last["classification"] < 0.1
    assert last["accuracy"] > 0.95


def test_every_trained_tensor_gets_a_gradient(strategy: str, parts: Parts) -> None:
    """With no weight decay, a weight that a step leaves as it was had no gradient."""
    torch.manual_seed(0)
    learner = parts.model.learner
    learner.optimizer_config.options["weight_decay"] = 0.0
    before = copy.deepcopy(learner.state_dict())
    _train(learner, _first_batch(parts), steps=2, lr=0.05)
    groups = learner.strategy.param_groups(learner.net, 0)
    trained = {id(p) for group in groups for p in group["params"]}
    for name, parameter in learner.named_parameters():
        if id(parameter) not in trained:
            assert torch.equal(parameter, before[name]), f"{name} moved and is not trained"
        elif parameter.ndim > 1:  # a bias before BatchNorm has, rightly, a gradient of zero
            assert not torch.equal(parameter, before[name]), f"{name} gets no gradient"


def test_same_seed_same_weights_and_other_seed_others(
    strategy: str, run: Run, tmp_path: Path
) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        run(tmp_path / name, f"strategy={strategy}", f"seed={seed}")
    assert same(weights(tmp_path / "a"), weights(tmp_path / "b"))
    assert not same(weights(tmp_path / "a"), weights(tmp_path / "c"))


@pytest.mark.parametrize("step", [EPOCH, EPOCH + 1], ids=["epoch boundary", "mid-epoch"])
def test_resume_is_bitwise_equal(
    strategy: str, step: int, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = (f"strategy={strategy}", "steps=7", "dataset.augment=flip_crop", "log_every=1")
    whole = run(tmp_path / "whole", *given)
    real, steps = Learner.training_step, itertools.count(1)  # of all stages

    def interrupted(self: Learner, batch: Any, batch_idx: int) -> None:
        real(self, batch, batch_idx)
        if next(steps) == step:
            signal.raise_signal(signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(Learner, "training_step", interrupted)
        with pytest.raises(Interrupted):
            run(tmp_path / "halves", *given)
    resumed = run(tmp_path / "halves", *given)
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "halves"))
    assert resumed["metrics"] == whole["metrics"]
    history = [(tmp_path / name / "metrics.csv").read_text() for name in ("whole", "halves")]
    assert history[0] == history[1]


def test_eval_gives_the_figures_of_the_run(strategy: str, run: Run, tmp_path: Path) -> None:
    results = run(tmp_path, f"strategy={strategy}")
    assert evaluate_run(tmp_path, Console(quiet=True))["metrics"] == results["metrics"]


def test_target_labels_are_never_learned_from(
    strategy: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tmp_path / "true", f"strategy={strategy}")
    real = build_module.load_arrays

    def poisoned(*args: Any, **kwargs: Any) -> Arrays:
        arrays = real(*args, **kwargs)
        labels = arrays.labels.copy()
        target = arrays.domains == "target"
        labels[target] = (labels[target] + np.arange(target.sum())) % 3
        return replace(arrays, labels=labels)

    monkeypatch.setattr(build_module, "load_arrays", poisoned)
    run(tmp_path / "poisoned", f"strategy={strategy}")
    assert same(weights(tmp_path / "true"), weights(tmp_path / "poisoned"))


def test_limit_case_is_training_on_labels(
    strategy: str, run: Run, tmp_path: Path, domains: Any
) -> None:
    kind: type[Strategy] = type(_build(domains, strategy).model.strategy)
    if kind.limit is None:
        assert not any("trade_off" in name for name in kind.__init__.__annotations__), (
            "a strategy whose extra terms can be weighed has a limit case: set `limit`"
        )
        return
    given = [f"strategy.{key}={value}" for key, value in kind.limit.items()]
    run(tmp_path / "limit", f"strategy={strategy}", *given)
    run(tmp_path / "plain", "strategy=source_only")
    limit, plain = weights(tmp_path / "limit"), weights(tmp_path / "plain")
    shared = [name for name in plain if "running_" not in name and "num_batches" not in name]
    for name in shared:
        torch.testing.assert_close(limit[name], plain[name], msg=f"{name} differs")


@pytest.mark.parametrize("name", ["test_resnet", "test_vit"])
def test_works_with_other_backbones(strategy: str, name: str, run: Run, tmp_path: Path) -> None:
    backbone = ("backbone=timm", f"backbone.name={name}", "backbone.weights=random")
    results = run(tmp_path, f"strategy={strategy}", *backbone, "backbone.size=32", "steps=2")
    assert results["status"] == "done"
