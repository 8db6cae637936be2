import copy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console

from tltool.config.compose import load_option, resolve
from tltool.evaluation.base import Evaluation, Scores
from tltool.run.controls import control_of, run_controls
from tltool.run.execute import Run
from tltool.run.folder import RunFolder
from tltool.run.outcome import save_predictions
from tltool.run.signals import Signals

MAIN = "target_test/accuracy"


def scored(right: int, *names: str) -> Scores:
    """The first ``right`` of 100 examples are right."""
    units = {name: (np.arange(100) < right).astype(float) for name in names or (MAIN,)}
    return Scores({name: right / 100 for name in units}, units)


@pytest.fixture
def run(tmp_path) -> Run:
    resolved = resolve(["strategy=dann", "epochs=3", "controls=true", "seed=7"])
    return Run(resolved, RunFolder(tmp_path / "run"), ["tltool"], Console(quiet=True), Signals())


def parts(*controls: str, target_labels: int = 5):
    """As much of a run's parts as is asked for."""
    strategy = SimpleNamespace(controls=controls, feed="pair")
    table = SimpleNamespace(lessons=lambda domain: range(target_labels))
    model = SimpleNamespace(strategy=strategy)
    spec = SimpleNamespace(regression=False)
    return SimpleNamespace(model=model, table=table, spec=spec, config={"evaluation": None})


def executed(calls: list, right: dict[str, int], *names: str):
    """Stands for a run: keeps what it was called with, and gets so many right."""

    def execute(run, resolved, path: Path):
        scores = scored(right[resolved.choices["strategy"]], *names)
        calls.append((resolved, path))
        with RunFolder(path).locked() as folder:
            save_predictions(folder, scores)
        return {"metrics": scores.metrics}

    return execute


def test_a_control_is_the_same_run_with_another_strategy(run):
    before = copy.deepcopy(run.resolved)
    control = control_of(run.resolved, "source_only", steps=90, evaluation="episodes")
    assert control.choices == {**before.choices, "strategy": "source_only"}
    assert control.config == {
        **before.config,
        "strategy": load_option("strategy", "source_only"),
        "steps": 90,
        "epochs": None,
        "evaluation": "episodes",
        "controls": False,
        "report": False,
    }
    assert control.config["seed"] == 7
    assert run.resolved == before


def test_every_control_runs_in_its_folder_and_gets_a_verdict_the_first_is_the_runs(run):
    calls: list = []
    execute = executed(calls, {"source_only": 40, "finetune": 90})
    given = parts("source_only", "finetune")
    results = run_controls(run, given, 90, scored(70), Evaluation(None), execute)
    folder = run.folder.path / "controls"
    assert [path for _, path in calls] == [folder / "source_only", folder / "finetune"]
    assert all(resolved.config["steps"] == 90 for resolved, _ in calls)
    assert all(resolved.config["evaluation"] == "domains" for resolved, _ in calls)
    assert results["controls"] == {"source_only": {MAIN: 0.4}, "finetune": {MAIN: 0.9}}
    first, second = results["verdicts"]
    assert results["verdict"] == first
    assert first["control"] == "source_only" and first["metric"] == MAIN
    assert first["gain"] == pytest.approx(0.3) and first["verdict"] == "positive"
    assert second["control"] == "finetune" and second["verdict"] == "negative"


def test_an_evaluation_adds_its_own_figures_to_the_comparison(run):
    class Ratio(Evaluation):
        @staticmethod
        def against(ours, control):
            return {"ratio": ours[MAIN] / control[MAIN]}

    execute = executed([], {"source_only": 35})
    results = run_controls(run, parts("source_only"), 9, scored(70), Ratio(None), execute)
    assert results["verdict"]["ratio"] == pytest.approx(2.0)


def test_what_needs_target_labels_is_left_out_without_them(run):
    calls: list = []
    execute = executed(calls, {"source_only": 40, "train_on_target": 95})
    names = ("source_only", "train_on_target")
    for labels, expected in ((5, list(names)), (0, ["source_only"])):
        given = parts(*names, target_labels=labels)
        results = run_controls(run, given, 9, scored(70), Evaluation(None), execute)
        assert list(results["controls"]) == expected
        assert [one["control"] for one in results["verdicts"]] == ["source_only"]


def test_without_units_in_common_there_is_no_verdict(run):
    execute = executed([], {"source_only": 40})
    other = scored(5, "source_test/accuracy")
    for scores in (other, Scores({"source_val/accuracy": 0.05})):
        results = run_controls(run, parts("source_only"), 9, scores, Evaluation(None), execute)
        assert results == {"controls": {"source_only": {MAIN: 0.4}}}


def test_a_strategy_without_controls_is_compared_with_nothing(run):
    calls: list = []
    results = run_controls(run, parts(), 9, scored(70), Evaluation(None), executed(calls, {}))
    assert results == {"controls": {}} and calls == []


def test_other_ranks_train_the_controls_and_write_no_verdict(run, monkeypatch):
    monkeypatch.setattr(run.folder, "writes", False)
    execute = executed([], {"source_only": 40})
    results = run_controls(run, parts("source_only"), 9, scored(70), Evaluation(None), execute)
    assert results.keys() == {"controls"}
