import copy
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from tltool.config.compose import load_option, resolve
from tltool.evaluation.domains import Predictions
from tltool.run.controls import control_of, run_controls
from tltool.run.execute import Run
from tltool.run.folder import RunFolder
from tltool.run.outcome import save_predictions
from tltool.run.signals import Signals

LABELS = np.zeros(100, dtype=np.int64)


def predictions(right: int) -> Predictions:
    """The first ``right`` of 100 examples are right."""
    predicted = (np.arange(100) >= right).astype(np.int64)
    return Predictions(LABELS, predicted, np.ones(100, np.float32), np.zeros((2, 2), np.int64))


@pytest.fixture
def run(tmp_path) -> Run:
    resolved = resolve(["strategy=dann", "epochs=3", "controls=true", "seed=7"])
    return Run(resolved, RunFolder(tmp_path / "run"), ["tltool"], Console(quiet=True), Signals())


def executed(calls: list, right: dict[str, int]):
    """Stands for a run: keeps what it was called with, and predicts so many right."""

    def execute(run, resolved, path: Path):
        name = resolved.choices["strategy"]
        calls.append((resolved, path))
        with RunFolder(path).locked() as folder:
            save_predictions(folder, {"target_test": predictions(right[name])})
        return {"metrics": {"target_test/accuracy": right[name] / 100}}

    return execute


def test_a_control_is_the_same_run_with_another_strategy(run):
    before = copy.deepcopy(run.resolved)
    control = control_of(run.resolved, "source_only", steps=90)
    assert control.choices == {**before.choices, "strategy": "source_only"}
    assert control.config == {
        **before.config,
        "strategy": load_option("strategy", "source_only"),
        "steps": 90,
        "epochs": None,
        "controls": False,
        "report": False,
    }
    assert control.config["seed"] == 7
    assert run.resolved == before


def test_every_control_runs_in_its_folder_and_the_first_gives_the_verdict(run):
    calls: list = []
    execute = executed(calls, {"source_only": 40, "finetune": 90})
    found = {"target_test": predictions(70), "source_test": predictions(100)}
    results = run_controls(run, ("source_only", "finetune"), 90, found, execute)
    folder = run.folder.path / "controls"
    assert [path for _, path in calls] == [folder / "source_only", folder / "finetune"]
    assert all(resolved.config["steps"] == 90 for resolved, _ in calls)
    assert results["controls"] == {
        "source_only": {"target_test/accuracy": 0.4},
        "finetune": {"target_test/accuracy": 0.9},
    }
    assert results["verdict"]["control"] == "source_only"
    assert results["verdict"]["metric"] == "target_test/accuracy"
    assert results["verdict"]["gain"] == pytest.approx(0.3)
    assert results["verdict"]["verdict"] == "positive"


def test_without_a_labelled_test_split_there_is_no_verdict(run):
    execute = executed([], {"source_only": 40})
    results = run_controls(run, ("source_only",), 9, {"source_val": predictions(5)}, execute)
    assert results == {"controls": {"source_only": {"target_test/accuracy": 0.4}}}


def test_a_strategy_without_controls_is_compared_with_nothing(run):
    calls: list = []
    found = {"target_test": predictions(70)}
    assert run_controls(run, (), 9, found, executed(calls, {})) == {"controls": {}}
    assert calls == []


def test_other_ranks_train_the_controls_and_write_no_verdict(run, monkeypatch):
    monkeypatch.setattr(run.folder, "writes", False)
    found = {"target_test": predictions(70)}
    results = run_controls(run, ("source_only",), 9, found, executed([], {"source_only": 40}))
    assert results.keys() == {"controls"}
