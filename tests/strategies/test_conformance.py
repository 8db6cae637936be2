"""What every strategy is held to; it finds them in conf/strategy, and knows none by name."""

import copy
import itertools
import signal
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

import tltool.run.build as build_module
from tltool.config.compose import load_option, resolve
from tltool.config.options import options
from tltool.data.cache import Arrays
from tltool.data.readers import checked_reader
from tltool.errors import UserError
from tltool.learner import Learner
from tltool.run.apply import evaluate_run
from tltool.run.build import Parts, build
from tltool.run.execute import execute
from tltool.run.signals import Interrupted
from tltool.strategies.base import Strategy

STRATEGIES = [option.name for option in options("strategy")]
EPOCH = 3  # steps: 45 images in batches of 16
Result = dict[str, Any]
Run = Callable[..., Result]
Once = Callable[..., tuple[Path, Result]]
Overrides = Callable[..., list[str]]

pytestmark = pytest.mark.parametrize("strategy", STRATEGIES)


def weights(path: Path) -> dict[str, torch.Tensor]:
    return load_file(path / "model.safetensors")


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def feed_of(strategy: str) -> str:
    return next(one.feed for one in options("strategy") if one.name == strategy) or ""


def kind_of(strategy: str) -> type[Strategy]:
    module, _, name = load_option("strategy", strategy)["_target_"].rpartition(".")
    found: type[Strategy] = getattr(import_module(module), name)
    return found


@pytest.fixture
def overrides(strategy: str, data_for: Callable[[str], list[str]]) -> Overrides:
    """Returns the smallest run of a strategy, of that of the test or another one."""

    data = data_for("group" if kind_of(strategy).needs_group else feed_of(strategy))

    def make(*more: str, of: str = strategy) -> list[str]:
        return [*data, f"strategy={of}", *more]

    return make


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory, cache_root: Path) -> Once:
    """Runs overrides, but the same ones only once: several tests look at one run."""
    found: dict[tuple[str, ...], tuple[Path, Result]] = {}

    def call(given: list[str]) -> tuple[Path, Result]:
        if tuple(given) not in found:
            path = tmp_path_factory.mktemp("once") / "run"
            found[tuple(given)] = (path, execute_overrides(path, *given))
        return found[tuple(given)]

    return call


def execute_overrides(path: Path, *given: str) -> Result:
    resolved = resolve(["experiment=smoke", "hardware=cpu", *given])
    return execute(resolved, path, ["tltool", "train"], Console(quiet=True))


@pytest.fixture
def parts(overrides: Overrides) -> Parts:
    """Everything of a run, before its first step."""
    return _build(overrides())


def _build(given: list[str]) -> Parts:
    config = resolve(["experiment=smoke", "hardware=cpu", *given]).config
    return build(config, checked_reader(config["dataset"]))


def _first_batch(parts: Parts) -> Any:
    stage = parts.model.strategy.stages()[0]
    feed = parts.datamodule.feed(stage.feed or parts.model.strategy.feed, stage.options)
    batch = feed[0]
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
    shown = {**losses.terms, **losses.metrics, "loss": losses.total}
    return {name: value.detach().item() for name, value in shown.items()}


def test_smoke_run_from_its_yaml(strategy: str, overrides: Overrides, tmp_path: Path) -> None:
    results = execute_overrides(tmp_path, *overrides("report=true"))
    assert results["status"] == "done"
    assert results["strategy"] == strategy
    scored = [value for name, value in results["metrics"].items() if "accuracy" in name]
    assert scored and all(0 <= value <= 1 for value in scored)
    for name in ("config.yaml", "record.json", "results.json", "metrics.csv", "model.safetensors"):
        assert (tmp_path / name).stat().st_size > 0
    assert "<svg" in (tmp_path / "report.html").read_text()


def test_overfits_one_batch(strategy: str, overrides: Overrides) -> None:
    # Adam, since random features of a frozen backbone may be of any scale.
    given = overrides("optimizer=adamw")
    if "dropout" in resolve(given).config["backbone"]:
        given += ["backbone.dropout=0"]
    parts = _build(given)
    torch.manual_seed(0)
    batch = _first_batch(parts)
    first = _train(parts.model.learner, batch, steps=1, lr=0.02)
    last = _train(parts.model.learner, batch, steps=100, lr=0.02)
    if "accuracy" in last:
        assert last["accuracy"] > 0.95
    if "classification" in last:
        assert last["classification"] < 0.1
    else:
        assert last["loss"] < 0.7 * first["loss"]


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
            if name.startswith("net.") or parameter.requires_grad:  # a teacher moves otherwise
                assert torch.equal(parameter, before[name]), f"{name} moved and is not trained"
        elif parameter.ndim > 1:  # a bias before BatchNorm has, rightly, a gradient of zero
            assert not torch.equal(parameter, before[name]), f"{name} gets no gradient"


def test_same_seed_same_weights_and_other_seed_others(
    strategy: str, overrides: Overrides, once: Once, tmp_path: Path
) -> None:
    first, _ = once(overrides())
    execute_overrides(tmp_path / "again", *overrides())
    execute_overrides(tmp_path / "other", *overrides("seed=2"))
    assert same(weights(first), weights(tmp_path / "again"))
    assert not same(weights(first), weights(tmp_path / "other"))


@pytest.mark.parametrize("step", [EPOCH, EPOCH + 1], ids=["epoch boundary", "mid-epoch"])
def test_resume_is_bitwise_equal(
    strategy: str,
    step: int,
    overrides: Overrides,
    once: Once,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = overrides("steps=7", "dataset.augment=flip_crop", "log_every=1")
    path, whole = once(given)
    real, steps = Learner.training_step, itertools.count(1)  # of all stages

    def interrupted(self: Learner, batch: Any, batch_idx: int) -> None:
        real(self, batch, batch_idx)
        if next(steps) == step:
            signal.raise_signal(signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(Learner, "training_step", interrupted)
        with pytest.raises(Interrupted):
            execute_overrides(tmp_path, *given)
    resumed = execute_overrides(tmp_path, *given)
    assert same(weights(path), weights(tmp_path))
    assert resumed["metrics"] == whole["metrics"]
    assert resumed["grids"] == whole["grids"]
    history = [(folder / "metrics.csv").read_text() for folder in (path, tmp_path)]
    assert history[0] == history[1]


def test_eval_gives_the_figures_of_the_run(strategy: str, overrides: Overrides, once: Once) -> None:
    path, results = once(overrides())
    assert evaluate_run(path, Console(quiet=True))["metrics"] == results["metrics"]


def test_target_labels_are_never_learned_from(
    strategy: str,
    overrides: Overrides,
    once: Once,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path, _ = once(overrides())
    real = build_module.load_arrays

    def poisoned(*args: Any, **kwargs: Any) -> Arrays:
        arrays = real(*args, **kwargs)
        labels = arrays.labels.copy()
        target = arrays.domains == "target"
        labels[target] = (labels[target] + np.arange(target.sum())) % 3
        return replace(arrays, labels=labels)

    monkeypatch.setattr(build_module, "load_arrays", poisoned)
    execute_overrides(tmp_path, *overrides())
    learned = not same(weights(path), weights(tmp_path))
    assert learned == kind_of(strategy).uses_target_labels


def test_limit_case_is_training_on_labels(
    strategy: str, overrides: Overrides, once: Once, tmp_path: Path
) -> None:
    kind = kind_of(strategy)
    if kind.limit is None:
        assert not any("trade_off" in name for name in kind.__init__.__annotations__), (
            "a strategy whose extra terms can be weighed has a limit case: set `limit`"
        )
        return
    given = [f"strategy.{key}={value}" for key, value in kind.limit.items()]
    execute_overrides(tmp_path, *overrides(*given))
    path, _ = once(overrides(of=kind.limit_of))
    limit, plain = weights(tmp_path), weights(path)
    shared = [name for name in plain if "running_" not in name and "num_batches" not in name]
    for name in shared:
        torch.testing.assert_close(limit[name], plain[name], msg=f"{name} differs")


@pytest.mark.parametrize("name", ["test_resnet", "test_vit"])
def test_works_with_other_backbones(
    strategy: str, name: str, overrides: Overrides, tmp_path: Path
) -> None:
    backbone = ("backbone=timm", f"backbone.name={name}", "backbone.weights=random")
    given = overrides(*backbone, "backbone.size=32", "steps=2")
    if name == "test_vit" and kind_of(strategy).needs_batch_norm:
        with pytest.raises(UserError, match="BatchNorm"):
            execute_overrides(tmp_path, *given)
        return
    assert execute_overrides(tmp_path, *given)["status"] == "done"
