"""`tltool compare`."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def compare(
    runs: Annotated[
        list[Path],
        typer.Argument(help="Run folders, or folders that hold some, such as a sweep's."),
    ],
    validators: Annotated[
        bool,
        typer.Option(
            "--validators",
            help="What each validator would have chosen, and what that costs; for runs trained "
            "with validator=all.",
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Put finished runs side by side."""
    from rich.console import Console

    from tltool.report.comparison import choices_table, oracle_note
    from tltool.report.tables import show, side_by_side
    from tltool.run.compare import choices, finished_runs, scored_runs

    console, found = Console(), finished_runs(runs)
    if not validators:
        rows = _rows(found)
        print(json.dumps(rows, indent=2)) if as_json else show(console, side_by_side(rows))
        return
    chosen = choices(scored_runs(found))
    if as_json:
        print(json.dumps([asdict(one) for one in chosen], indent=2))
        return
    show(console, choices_table(chosen))
    console.print(oracle_note(chosen), soft_wrap=True)


def _rows(found: "Sequence[tuple[Path, Mapping[str, Any]]]") -> list[dict[str, Any]]:
    return [
        {
            "run": str(path),
            "strategy": results["strategy"],
            "seed": results["seed"],
            **results["metrics"],
        }
        for path, results in found
    ]
