"""`tltool reproduce`."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tltool.cli.batch import AsJson, Out, run_checked
from tltool.cli.options import ConfigDirs, Overrides

if TYPE_CHECKING:
    from tltool.config.protocol import Protocol

FILE = "reproduce.json"


def _complete(ctx: typer.Context, incomplete: str) -> list[str]:
    from tltool.config.protocol import protocol_files

    names = protocol_files(ctx.params.get("config_dir") or [])
    return [name for name in names if name.startswith(incomplete)]


def reproduce(
    name: Annotated[
        str | None,
        typer.Argument(
            help="A protocol; without one all are listed.",
            autocompletion=_complete,
            show_default=False,
        ),
    ] = None,
    overrides: Overrides = None,
    out: Out = None,
    into: Annotated[
        Path | None,
        typer.Option(
            help="A Markdown file, in which a table of the runs replaces what stands between "
            "<!-- NAME --> and <!-- /NAME -->.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
    config_dir: ConfigDirs = None,
) -> None:
    """Run a protocol and compare what is published with what is measured.

    Exit code 0 when every figure is reached, 1 when one is not. seeds=0,1 changes the seeds.
    Runs that are done are kept: the same command again goes on, or shows the figures.
    """
    from tltool.config.protocol import load_protocol, protocol_files

    folders = config_dir or []
    if name is None:
        _list([load_protocol(one, folders) for one in protocol_files(folders)], as_json)
        return
    protocol = load_protocol(name, folders)
    report = _reproduce(protocol, overrides or [], out, as_json, folders)
    if into is not None:
        from tltool.report.markdown import put_into, runs_table

        put_into(into, name, runs_table(report))
    raise typer.Exit(0 if report["reached"] else 1)


def _list(protocols: "list[Protocol]", as_json: bool) -> None:
    if as_json:
        print(json.dumps([asdict(one) for one in protocols], indent=2))
        return
    from rich.console import Console

    from tltool.report.batches import protocols_table
    from tltool.report.tables import show

    show(Console(), protocols_table(protocols))


def _reproduce(
    protocol: "Protocol", args: list[str], out: Path | None, as_json: bool, folders: list[Path]
) -> dict[str, Any]:
    from rich.console import Console

    from tltool.run.batch import seeds_of, split_off
    from tltool.run.reproduce import compare, plan_protocol, report_of

    typed, args = split_off(args, "seed", "seeds")
    seeds = protocol.seeds if typed is None else seeds_of(typed)
    folder = out or Path("runs") / "reproduce" / protocol.name
    jobs = plan_protocol(protocol, args, seeds, folder, folders)
    console = Console(stderr=as_json)
    done = run_checked(list(jobs.values()), "reproduce", console)
    finished = dict(zip(jobs, done, strict=True))
    compared = [compare(figure, finished) for figure in protocol.figures]
    report = report_of(protocol, args, finished, compared)

    from tltool.report.batches import comparison_table
    from tltool.report.tables import show
    from tltool.run.folder import RunFolder

    RunFolder(folder).write_json(FILE, report)
    if as_json:
        print(json.dumps(report, indent=2))
    else:
        show(console, comparison_table(report))
        console.print(f"written     {folder / FILE}", soft_wrap=True)
    return report
