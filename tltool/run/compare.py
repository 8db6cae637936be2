"""Finished runs side by side, and what each validator would have chosen among them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tltool.errors import UserError
from tltool.run.folder import RunFolder
from tltool.run.history import FILE, read_history
from tltool.run.selection import LAST, ORACLE, RULES, column

Row = Mapping[str, float]


@dataclass(frozen=True)
class Scored:
    """A finished run, with what was recorded at its epochs.

    Args:
        path: The run folder.
        results: Contents of results.json.
        epochs: Rows that hold the target's test accuracy, oldest first.
    """

    path: Path
    results: Mapping[str, Any]
    epochs: Sequence[Row]


@dataclass(frozen=True)
class Choice:
    """What a rule would have chosen.

    Args:
        rule: Its name.
        runs: Runs that recorded it.
        within: Mean target accuracy of the epoch that it chooses in each run.
        within_cost: Mean of what that is below the best epoch of the run.
        run: That it chooses among all; None for a rule that cannot tell runs apart.
        epoch: In that run.
        accuracy: The target's test accuracy there.
        cost: What that is below the best epoch of all runs.
    """

    rule: str
    runs: int
    within: float
    within_cost: float
    run: str | None
    epoch: int | None
    accuracy: float | None
    cost: float | None


def finished_runs(paths: Sequence[Path]) -> list[tuple[Path, dict[str, Any]]]:
    """Returns the finished runs in some folders, with their results.

    Args:
        paths: Run folders, or folders that hold some, such as a sweep's; controls are left out.

    Raises:
        UserError: A folder that is not there, or none is a finished run.
    """
    if missing := [str(path) for path in paths if not path.is_dir()]:
        raise UserError(*(f"{path}: no such folder" for path in missing))
    found: dict[Path, dict[str, Any]] = {}
    for path in paths:
        for file in sorted(path.rglob("results.json")):
            if "controls" not in file.relative_to(path).parts:
                results = RunFolder(file.parent).read_json("results.json")
                if results.get("status") == "done":
                    found[file.parent] = results
    if not found:
        named = ", ".join(map(str, paths))
        raise UserError(f"{named}: no finished run in it; train some with `tltool train -m ...`")
    return list(found.items())


def scored_runs(runs: Sequence[tuple[Path, Mapping[str, Any]]]) -> list[Scored]:
    """Returns the runs whose target test accuracy was recorded at every epoch.

    Raises:
        UserError: None was, or they are of different data.
    """
    scored = []
    for path, results in runs:
        rows = [row for row in read_history(path / FILE) if column(ORACLE) in row]
        if rows:
            scored.append(Scored(path, results, rows))
    if not scored:
        raise UserError(
            "none of these runs recorded the target's test accuracy at every epoch, which says "
            "what a choice costs: train them with validator=all"
        )
    if len({one.results["dataset"] for one in scored}) > 1:
        names = ", ".join(sorted({one.results["dataset"] for one in scored}))
        raise UserError(f"runs on different data ({names}) cannot be chosen from: name some of one")
    return scored


def choices(runs: Sequence[Scored]) -> list[Choice]:
    """Returns what each rule would have chosen, `last` first and the oracle at the end."""
    best = max(_accuracy(row) for run in runs for row in run.epochs)
    found = []
    for rule in RULES:
        having = [run for run in runs if rule == LAST or column(rule) in run.epochs[-1]]
        if not having:
            continue
        at = [_chosen(rule, run.epochs) for run in having]
        costs = [
            max(map(_accuracy, run.epochs)) - _accuracy(row)
            for run, row in zip(having, at, strict=True)
        ]
        within, cost = sum(map(_accuracy, at)) / len(at), sum(costs) / len(at)
        if rule == LAST:
            found.append(Choice(rule, len(at), within, cost, None, None, None, None))
            continue
        scores = [row[column(rule)] for row in at]
        i = max(range(len(at)), key=scores.__getitem__)
        accuracy = _accuracy(at[i])
        name, epoch = str(having[i].path), int(at[i]["epoch"])
        found.append(Choice(rule, len(at), within, cost, name, epoch, accuracy, best - accuracy))
    return found


def _chosen(rule: str, epochs: Sequence[Row]) -> Row:
    """Returns the epoch with the best score, of equals the first."""
    if rule == LAST:
        return epochs[-1]
    return max((row for row in epochs if column(rule) in row), key=lambda row: row[column(rule)])


def _accuracy(row: Row) -> float:
    return row[column(ORACLE)]
