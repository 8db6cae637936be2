"""Every strategy that takes texts works on them, on a table that is made here."""

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

from tltool.config.compose import load_option, resolve
from tltool.config.options import options
from tltool.config.signature import class_attribute
from tltool.learner import Learner
from tltool.run.apply import evaluate_run
from tltool.run.execute import execute
from tltool.run.signals import Interrupted

pytest.importorskip("transformers")

TAKE_TEXT = [  # none of the backbones for texts has BatchNorm
    one.name
    for one in options("strategy")
    if "text" in one.modalities and not class_attribute(one.target, "needs_batch_norm", False)
]
# What a feed needs beside the tables, where it needs anything.
MORE = {
    "contexts": ["dataset.contexts=3", "dataset.target=null"],
    "episodes": ["dataset.split=null", "dataset.split_by=class", "dataset.test_fraction=0.34",
                 "strategy.way=2", "strategy.query=2"],
    "heads": ["dataset.tasks=[label,group]"],
    "group": ["dataset.group=group"],
    "sources": ["dataset.source=[{folder}/source.csv,{folder}/other.csv]"],
}  # fmt: skip
Go = Callable[..., dict[str, Any]]


@pytest.fixture
def go(reviews: list[str]) -> Go:
    def call(path: Path, *given: str) -> dict[str, Any]:
        folder = Path(reviews[1].partition("=")[2]).parent
        more = [one.replace("{folder}", str(folder)) for one in given]
        resolved = resolve([*reviews, "experiment=smoke", "hardware=cpu", *more])
        return execute(resolved, path, ["tltool", "train"], Console(quiet=True))

    return call


@pytest.mark.parametrize("strategy", TAKE_TEXT)
def test_it_runs_on_texts_and_scores_the_same_again(strategy: str, go: Go, tmp_path: Path) -> None:
    target = load_option("strategy", strategy)["_target_"]
    grouped = class_attribute(target, "needs_group", False)
    more = MORE.get("group" if grouped else class_attribute(target, "feed"), [])
    results = go(tmp_path, f"strategy={strategy}", *more)
    assert results["status"] == "done" and results["metrics"]
    assert evaluate_run(tmp_path, Console(quiet=True))["metrics"] == results["metrics"]


def test_a_word_is_learned(go: Go, tmp_path: Path) -> None:
    learn = ("optimizer=adamw", "optimizer.lr=0.003", "steps=60", "strategy=finetune")
    metrics = go(tmp_path, *learn)["metrics"]
    assert metrics["source_test/accuracy"] > 0.9  # 1/6 by chance
    assert metrics["target_test/accuracy"] > 0.6


def test_resume_is_bitwise_equal(go: Go, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go(tmp_path / "whole", "strategy=dann")
    real, steps = Learner.training_step, iter(range(10))

    def interrupted(self: Learner, batch: Any, batch_idx: int) -> None:
        real(self, batch, batch_idx)
        if next(steps) == 3:
            signal.raise_signal(signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(Learner, "training_step", interrupted)
        with pytest.raises(Interrupted):
            go(tmp_path / "halves", "strategy=dann")
    go(tmp_path / "halves", "strategy=dann")
    whole, halves = (load_file(tmp_path / one / "model.safetensors") for one in ("whole", "halves"))
    assert all(torch.equal(whole[name], halves[name]) for name in whole)


def test_controls_and_the_report_are_made_of_texts_too(go: Go, tmp_path: Path) -> None:
    results = go(tmp_path, "strategy=dann", "controls=true", "report=true")
    assert results["controls"].keys() == {"source_only", "train_on_target"}
    assert results["verdict"]["control"] == "source_only"
    assert "<svg" in (tmp_path / "report.html").read_text()


def test_cached_features_are_of_one_pooling(go: Go, tmp_path: Path) -> None:
    probes = [
        go(tmp_path / name, "strategy=linear_probe", f"backbone.pooling={pooling}")
        for name, pooling in (("a", "mean"), ("b", "max"), ("c", "mean"))
    ]
    heads = [load_file(tmp_path / name / "model.safetensors")["net.head.weight"] for name in "abc"]
    assert torch.equal(heads[0], heads[2]) and not torch.equal(heads[0], heads[1])
    assert probes[0]["metrics"] == probes[2]["metrics"]
