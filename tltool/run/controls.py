"""Runs of the control strategies on the same data, seed and steps, and the verdicts."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tltool.config.compose import Resolved, load_option
from tltool.config.signature import class_attribute
from tltool.evaluation.base import Evaluation, Scores
from tltool.evaluation.verdict import verdict
from tltool.run.build import Parts
from tltool.run.outcome import load_units
from tltool.run.subject import evaluation_name

if TYPE_CHECKING:
    from tltool.run.execute import Run

Execute = Callable[["Run", Resolved, Path], dict[str, Any]]


def run_controls(
    run: "Run", parts: Parts, steps: int, scores: Scores, evaluation: Evaluation, execute: Execute
) -> dict[str, Any]:
    """Runs the controls under ``controls/<name>`` of the run folder.

    Args:
        run: The run that they are for.
        parts: Its strategy names them.
        steps: Of the run; the controls get the same.
        scores: What the run scored.
        evaluation: That scored it; the controls are scored by the same.
        execute: Does one run.

    Returns:
        What results.json takes: ``controls`` with each one's metrics, ``verdicts`` against each
        but those that learn from target labels, and ``verdict``, the first of them, where there
        are labels to compare on.
    """
    name, labelled = evaluation_name(parts), len(parts.table.lessons("target")) > 0
    found: dict[str, Any] = {}
    verdicts = []
    metrics = list(scores.units)
    for control in parts.model.strategy.controls:
        resolved = control_of(run.resolved, control, steps, name)
        target = resolved.config["strategy"]["_target_"]
        bound = class_attribute(target, "uses_target_labels", False)
        if bound and not labelled:
            run.console.print(f"control: {control} left out, the target has no training labels")
            continue
        run.console.print(f"control: {control}")
        found[control] = execute(run, resolved, _path(run, control))["metrics"]
        # Only rank 0 has the control's folder to compare with, and only it writes the verdict.
        # What knows the target's labels is no rival: it says how far there is to go.
        if metrics and run.folder.writes and not bound:
            theirs = load_units(_path(run, control), metrics[0])
            if theirs is not None:
                more = evaluation.against(scores.metrics, found[control])
                ours = scores.units[metrics[0]]
                verdicts.append(verdict(control, metrics[0], ours, theirs) | more)
    results: dict[str, Any] = {"controls": found}
    return results | ({"verdict": verdicts[0], "verdicts": verdicts} if verdicts else {})


def control_of(resolved: Resolved, strategy: str, steps: int, evaluation: str) -> Resolved:
    """Returns the configuration of a control: another strategy, all else the same."""
    config = resolved.config | {
        "strategy": load_option("strategy", strategy),
        "steps": steps,
        "epochs": None,
        "evaluation": evaluation,
        "controls": False,
        "report": False,
    }
    return Resolved(config, {**resolved.choices, "strategy": strategy})


def _path(run: "Run", name: str) -> Path:
    return run.folder.path / "controls" / name
