"""Runs of the control strategies on the same data, seed and steps, and the verdicts."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tltool.config.compose import Resolved, load_option
from tltool.config.signature import class_attribute
from tltool.evaluation.base import Evaluation, Grid, Scores
from tltool.evaluation.verdict import verdict
from tltool.run.build import Parts
from tltool.run.outcome import load_predicted, load_units
from tltool.run.subject import evaluation_name

if TYPE_CHECKING:
    from tltool.run.execute import Run

SPLIT = "target_test"
BY_CLASS = "Accuracy on each class of the target"
MOST_CLASSES = 50  # more rows than that are no longer looked at
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
        What results.json takes: ``controls`` with each one's metrics, ``grids`` of them side by
        side, ``verdicts`` against each but those that learn from target labels, and ``verdict``,
        the first of them, where there are labels to compare on.
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
    if grids := _by_class(run, parts, scores, found):
        results["grids"] = grids
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


def _by_class(
    run: "Run", parts: Parts, scores: Scores, controls: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Returns the accuracy on each class of the target's test split, beside that of the controls.

    A mean can rise while a class is given up for another.
    """
    ours = scores.predictions.get(SPLIT)
    if ours is None or not controls or not run.folder.writes:
        return []
    names = parts.spec.class_names
    if len(names) > MOST_CLASSES:
        return []
    columns = {run.resolved.choices["strategy"]: ours.predicted}
    for name in controls:
        theirs = load_predicted(_path(run, name), SPLIT)
        if theirs is not None and theirs.shape == ours.labels.shape:
            columns[name] = theirs
    at = [ours.labels == label for label in range(len(names))]
    values = tuple(
        tuple(float((column[of] == i).mean()) if of.any() else None for column in columns.values())
        for i, of in enumerate(at)
    )
    return [asdict(Grid(BY_CLASS, names, tuple(columns), values))]


def _path(run: "Run", name: str) -> Path:
    return run.folder.path / "controls" / name
