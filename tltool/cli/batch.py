"""What the commands that do several runs share."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from tltool.run.batch import Finished, Job

Out = Annotated[
    Path | None, typer.Option("--out", help="Folder of the runs; below runs/ if not given.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON; progress goes to stderr.")]


def run_checked(jobs: "Sequence[Job]", command: str, console: "Console") -> "list[Finished]":
    """Checks and runs jobs; an interruption says that the same command goes on.

    Args:
        jobs: All of them.
        command: Name of the command, for messages.
        console: Where progress is shown.
    """
    from tltool.run.batch import check_jobs, run_jobs
    from tltool.run.signals import Interrupted

    check_jobs(jobs, command)
    try:
        return run_jobs(jobs, sys.argv, console)
    except Interrupted as stop:
        again = shlex.join(sys.argv[1:])
        print(f"{stop}; go on with: tltool {again}", file=sys.stderr)
        raise typer.Exit(128 + stop.number) from None
