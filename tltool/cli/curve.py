"""`tltool curve`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tltool.cli.batch import AsJson, Out, run_checked
from tltool.cli.options import ConfigDirs, Overrides
from tltool.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console

    from tltool.run.batch import Finished
    from tltool.run.curve import Spot

Metric = Annotated[
    str | None, typer.Option(help="What is drawn; by default what the runs are about.")
]


def curve(
    overrides: Overrides = None,
    metric: Metric = None,
    out: Out = None,
    as_json: AsJson = False,
    config_dir: ConfigDirs = None,
) -> None:
    """Draw accuracy against the number of labels: strategy=a,b labels=1,5,20,100% seeds=0,1,2.

    labels: so many of each class, or a part of all. With steps=N every point trains equally long.
    Runs that are done are kept: the same command again goes on, or draws anew.
    """
    from rich.console import Console

    from tltool.run.batch import seeds_of, split_off
    from tltool.run.curve import LABELS, SEEDS, check_labels, plan_curve

    strategies, args = split_off(overrides or [], "strategy")
    labels, args = split_off(args, "labels")
    seeds, args = split_off(args, "seed", "seeds")
    amounts = list(LABELS) if labels is None else labels
    check_labels(amounts)
    numbers = SEEDS if seeds is None else seeds_of(seeds)
    folder, jobs = plan_curve(args, strategies, amounts, numbers, out, config_dir or [])
    console = Console(stderr=as_json)
    console.print(f"{len(jobs)} runs in {folder}", soft_wrap=True)
    done = run_checked(list(jobs.values()), "curve", console)
    finished = dict(zip(jobs, done, strict=True))
    report = _write(folder, finished, metric)
    if as_json:
        print(json.dumps(report, indent=2))
    else:
        _show(console, folder, report)
    raise typer.Exit(0 if all(one.done for one in done) else 1)


def _write(folder: Path, finished: "dict[Spot, Finished]", metric: str | None) -> dict[str, Any]:
    from tltool.report.curve import write_curve
    from tltool.run.curve import as_csv, points_of, report_of
    from tltool.run.folder import RunFolder
    from tltool.run.outcome import main_metric

    done = [one for one in finished.values() if one.done]
    if not done:
        reasons = dict.fromkeys(str(one.results.get("reason")) for one in finished.values())
        raise UserError(*(f"every run failed: {reason}" for reason in reasons))
    metric = metric or main_metric(done[0].job.path)
    report: dict[str, Any] = report_of(points_of(finished, metric), finished, metric)
    config, choices = done[0].job.resolved.config, done[0].job.resolved.choices
    facts = {
        "dataset": choices["dataset"],
        "backbone": str(config["backbone"].get("name", choices["backbone"])),
        "seeds": ", ".join(map(str, dict.fromkeys(spot.seed for spot in finished))),
    }
    title = config["name"] or f"Labels and accuracy on {choices['dataset']}"
    write_curve(folder / "curve.html", report, title, facts)
    files = RunFolder(folder)
    files.write_text("curve.csv", as_csv(report))
    files.write_json("curve.json", report)
    return report


def _show(console: "Console", folder: Path, report: dict[str, Any]) -> None:
    from tltool.report.batches import curve_table
    from tltool.report.tables import show

    show(console, curve_table(report["points"], report["metric"]))
    for run in report["runs"]:
        if run["status"] != "done":
            console.print(f"failed      {run['path']}: {run['reason']}", soft_wrap=True)
    console.print(f"plot        {folder / 'curve.html'}", soft_wrap=True)
    console.print(f"data        {folder / 'curve.csv'}, {folder / 'curve.json'}", soft_wrap=True)
