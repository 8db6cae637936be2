"""One run, from a resolved configuration to its record."""

import logging
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from tltool.config.compose import Resolved
from tltool.config.instantiate import instantiate
from tltool.data.readers import checked_reader
from tltool.errors import RunError, UserError
from tltool.evaluation.base import Evaluation
from tltool.report import wording
from tltool.run.budget import Budget, budgets
from tltool.run.build import Parts, absent_classes, build, counts
from tltool.run.checkpoint import Checkpoint, load_checkpoint
from tltool.run.console import tracked
from tltool.run.controls import run_controls
from tltool.run.fit import fit, stage_inputs
from tltool.run.folder import RunFolder
from tltool.run.forgetting import forgetting
from tltool.run.history import History
from tltool.run.labels import target_labels
from tltool.run.outcome import save_model, save_predictions, save_split
from tltool.run.record import Record
from tltool.run.selection import Selection
from tltool.run.signals import Interrupted, Signals
from tltool.run.subject import evaluation_of
from tltool.run.summary import write_run_report
from tltool.run.validation import best_epochs, signs

SCHEMA = 1  # of results.json
log = logging.getLogger("tltool")


@dataclass(frozen=True)
class Run:
    """One run and its surroundings.

    Args:
        resolved: What to run.
        folder: Where.
        command: What was typed.
        console: Where progress is shown.
        signals: What may end it.
        control: It is a control of another run, which has said what there is to say of the data.
    """

    resolved: Resolved
    folder: RunFolder
    command: Sequence[str]
    console: Console
    signals: Signals
    control: bool = False

    @property
    def config(self) -> dict[str, Any]:
        """The resolved configuration."""
        return self.resolved.config


def execute(
    resolved: Resolved, path: Path, command: Sequence[str], console: Console
) -> dict[str, Any]:
    """Runs, or goes on with, the run in a folder.

    Args:
        resolved: What to run.
        path: The run folder.
        command: What was typed, for the record.
        console: Where progress is shown.

    Returns:
        The contents of results.json.

    Raises:
        UserError: Input that cannot be used.
        RunError: The run had to stop.
        Interrupted: A signal came; the run can be resumed.
    """
    with Signals() as signals:
        return execute_run(Run(resolved, RunFolder(path), command, console, signals))


def execute_run(run: Run) -> dict[str, Any]:
    """Does what `execute` does, inside of its signal handlers; controls come here too."""
    results = run.folder.read_json("results.json")
    if results.get("status") == "done":
        return results
    with run.folder.locked(), _log_file(run.folder):
        run.folder.write_yaml("config.yaml", run.resolved.saved())
        record = Record(run.folder, run.command)
        try:
            results = _run(run, record)
        except BaseException as error:
            status = "interrupted" if isinstance(error, Interrupted) else "failed"
            reason = str(error) or type(error).__name__
            log.error("%s: %s", status, reason)
            if not isinstance(error, Interrupted | RunError | UserError):
                log.error(traceback.format_exc())
            # On a full disk this fails too, and the first error is the one to tell.
            with suppress(RunError):
                record.end(status, reason)
                run.folder.write_json("results.json", _head(run, status) | {"reason": reason})
            raise
        record.end("done")
        # Last of all: a run is done only once this file says so.
        run.folder.write_json("results.json", results)
        log.info("done")
    return results


def _run(run: Run, record: Record) -> dict[str, Any]:
    checkpoint = load_checkpoint(run.folder.path)
    with tracked(run.console, "decoding") as update:
        reader = checked_reader(run.config["dataset"])
        parts = build(run.config, reader, lambda done, total: update(done, total, ""))
    if checkpoint.run_step or checkpoint.stage:
        _same_data(run.folder, parts)
    record.add_parts(parts)
    save_split(run.folder, parts)
    if not run.control:
        for line in wording.label_sets(_head(run, "running") | _of_labels(parts)):
            run.console.print(line, soft_wrap=True)  # one line, also in a pipe
    plan, evaluation = budgets(parts), evaluation_of(parts)
    selection = Selection(**(checkpoint.selection or {"rule": run.config["selection"]}))
    history = History(
        run.folder, instantiate(run.config["logger"]), run.config, checkpoint.run_step
    )
    warned: list[str] = []
    warn = _warner(run.console, warned)
    for line in absent_classes(parts.table):
        warn(line)
    log.info("training: %s", ", ".join(f"{budget.steps} steps" for budget in plan))
    try:
        fit(
            parts,
            folder=run.folder,
            history=history,
            signals=run.signals,
            checkpoint=checkpoint,
            selection=selection,
            evaluation=evaluation,
            warn=warn,
            console=run.console,
        )
        results = _evaluate(run, parts, plan, checkpoint, selection, evaluation, history)
    except BaseException:
        history.finish({}, done=False)
        raise
    results["warnings"] = warned
    history.finish(results["metrics"], done=True)
    return results


def _evaluate(
    run: Run,
    parts: Parts,
    plan: list[Budget],
    checkpoint: Checkpoint,
    selection: Selection,
    evaluation: Evaluation,
    history: History,
) -> dict[str, Any]:
    save_model(run.folder, parts)
    with stage_inputs(parts, parts.model.strategy.stages()[-1], run.console):
        scores = evaluation.final()
        save_predictions(run.folder, scores)
        examples = sum(budget.steps * budget.examples_per_step for budget in plan)
        results = _head(run, "done") | {
            "selection": {**selection.state(), "epochs": sum(b.epochs for b in plan)},
            "metrics": scores.metrics | forgetting(parts),
            "grids": [asdict(grid) for grid in scores.grids],
            "validators": best_epochs(history.rows, run.config, evaluation.chooses_by),
            "signs": signs(history.rows),
            "counts": counts(parts),
            **_of_labels(parts),
            "timing": {
                "fit_s": round(checkpoint.fit_seconds, 3),
                "fit_cpu_s": round(checkpoint.fit_cpu_seconds, 3),
                "steps": checkpoint.run_step,
                "examples_per_s": round(examples / max(checkpoint.fit_seconds, 1e-9), 1),
            },
        }
        if run.config["controls"]:
            steps = sum(budget.steps for budget in plan)
            compared = run_controls(run, parts, steps, scores, evaluation, _again)
            results |= compared | {"grids": results["grids"] + compared.get("grids", [])}
        if run.config["report"]:
            write_run_report(run.folder, run.resolved, parts, results, scores, history.rows)
    return results


def _again(run: Run, resolved: Resolved, path: Path) -> dict[str, Any]:
    return execute_run(replace(run, resolved=resolved, folder=RunFolder(path), control=True))


def _of_labels(parts: Parts) -> dict[str, Any]:
    """Returns what results.json says of the labels that the data have."""
    found: dict[str, Any] = {}
    if parts.label_sets is not None:
        rejects = parts.model.strategy.rejects
        found["label_sets"] = {**asdict(parts.label_sets), "rejects": rejects}
    if used := target_labels(parts):
        found["target_labels"] = used
    return found


def _head(run: Run, status: str) -> dict[str, Any]:
    choices = run.resolved.choices
    return {
        "schema": SCHEMA,
        "status": status,
        "name": run.config["name"],
        "strategy": choices["strategy"],
        "dataset": choices["dataset"],
        "backbone": run.config["backbone"].get("name", choices["backbone"]),
        "seed": run.config["seed"],
    }


def _same_data(folder: RunFolder, parts: Parts) -> None:
    """Refuses to go on with other data or weights than the run began with."""
    before = folder.read_json("record.json")
    data = before.get("dataset", {}).get("fingerprint", parts.arrays.fingerprint)
    weights = before.get("weights", {}).get("state_sha256", parts.model.backbone_sha256)
    for what, then, now in (
        ("the data", data, parts.arrays.fingerprint),
        ("the pretrained weights", weights, parts.model.backbone_sha256),
    ):
        if then != now:
            raise UserError(
                f"{what} changed since {folder.path} began: it cannot be resumed exactly; "
                f"type `tltool train --config-from {folder.path}` to run it anew"
            )


def _warner(console: Console, warned: list[str]) -> Callable[[str], None]:
    def warn(text: str) -> None:
        # A warning that only its figures set apart from one before is the same warning.
        known = {"".join(c for c in old if not c.isdigit()) for old in warned}
        if "".join(c for c in text if not c.isdigit()) not in known:
            warned.append(text)
            log.warning(text)
            console.print(f"warning: {text}", style="yellow")

    return warn


@contextmanager
def _log_file(folder: RunFolder) -> Iterator[None]:
    """Within it, what tltool and Python's warnings log also goes to log.txt."""
    handler: logging.Handler = logging.NullHandler()
    if folder.writes:
        handler = logging.FileHandler(folder.path / "log.txt", delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log.setLevel(logging.INFO)
    log.propagate = False
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)
        handler.close()
