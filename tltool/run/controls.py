"""Runs of the control strategies on the same data, seed and steps, and the verdict."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tltool.config.compose import Resolved, load_option
from tltool.evaluation.domains import Predictions
from tltool.evaluation.verdict import verdict
from tltool.run.outcome import load_correct, main_split

if TYPE_CHECKING:
    from tltool.run.execute import Run

Execute = Callable[["Run", Resolved, Path], dict[str, Any]]


def run_controls(
    run: "Run",
    controls: Sequence[str],
    steps: int,
    found: Mapping[str, Predictions],
    execute: Execute,
) -> dict[str, Any]:
    """Runs the controls under ``controls/<name>`` of the run folder.

    Args:
        run: The run that they are for.
        controls: Names of strategies.
        steps: Of the run; the controls get the same.
        found: What the run predicted.
        execute: Does one run.

    Returns:
        What results.json takes: ``controls`` with each one's metrics, and ``verdict`` against
        the first, where there is a labelled test split.
    """
    split = main_split(found)
    scores: dict[str, Any] = {}
    for name in controls:
        run.console.print(f"control: {name}")
        results = execute(run, control_of(run.resolved, name, steps), _path(run, name))
        scores[name] = results["metrics"]
    # Only rank 0 has the control's folder to compare with, and only it writes the verdict.
    if not controls or split is None or not run.folder.writes:
        return {"controls": scores}
    correct = load_correct(_path(run, controls[0]), split)
    return {
        "controls": scores,
        "verdict": verdict(controls[0], f"{split}/accuracy", found[split].correct, correct),
    }


def control_of(resolved: Resolved, strategy: str, steps: int) -> Resolved:
    """Returns the configuration of a control: another strategy, all else the same."""
    config = resolved.config | {
        "strategy": load_option("strategy", strategy),
        "steps": steps,
        "epochs": None,
        "controls": False,
        "report": False,
    }
    return Resolved(config, {**resolved.choices, "strategy": strategy})


def _path(run: "Run", name: str) -> Path:
    return run.folder.path / "controls" / name
