"""`tltool train`."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tltool.cli.options import ConfigDirs, Overrides
from tltool.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console

    from tltool.config.compose import Resolved


def train(
    overrides: Overrides = None,
    multirun: Annotated[
        bool, typer.Option("--multirun", "-m", help="Run every combination of a,b values.")
    ] = False,
    config_dir: ConfigDirs = None,
    config_from: Annotated[
        Path | None, typer.Option(help="Repeat a run's configuration; overrides go on top.")
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(help="Go on with an interrupted run, exactly.")
    ] = None,
) -> None:
    """Train one run, or with -m one run for each combination."""
    from rich.console import Console

    console = Console()
    args, folders = overrides or [], config_dir or []
    if sum((multirun, config_from is not None, resume is not None)) > 1:
        raise UserError("only one of --multirun, --config-from and --resume can be given")
    if multirun:
        from tltool.cli.multirun import run_all

        raise typer.Exit(run_all(args, folders, console))
    if resume is not None:
        if args:
            raise UserError(
                f"--resume goes on exactly as it was, so it takes no {args[0]}; "
                f"type --config-from {resume} to change something"
            )
        resolved, path = _resumed(resume), resume
    else:
        resolved = _resolved(args, folders, config_from)
        path = _new_folder(resolved)
    _train(resolved, path, console)


def _resolved(args: list[str], folders: list[Path], config_from: Path | None) -> "Resolved":
    from tltool.config.compose import from_run, resolve
    from tltool.run.folder import read_config

    if config_from is None:
        return resolve(args, folders)
    return from_run(read_config(config_from), args, folders)


def _resumed(run: Path) -> "Resolved":
    from tltool.config.compose import Resolved
    from tltool.run.folder import read_config

    saved = read_config(run)
    choices = saved.pop("choices", None)
    if not isinstance(choices, dict):
        raise UserError(f"{run / 'config.yaml'} is damaged: it names no choices")
    return Resolved(saved, choices)


def _new_folder(resolved: "Resolved") -> Path:
    from tltool.run.folder import RUN_DIR_VARIABLE, new_run_dir

    if folder := os.environ.get(RUN_DIR_VARIABLE):  # another rank of the same run
        return Path(folder)
    config, choices = resolved.config, resolved.choices
    if config["run_dir"] is None:
        return new_run_dir(
            config["name"] or choices["dataset"], f"{choices['strategy']}-seed{config['seed']}"
        )
    path = Path(config["run_dir"])
    if (path / "config.yaml").exists():
        raise UserError(
            f"run_dir={path} already holds a run: type --resume {path} to go on with it, "
            "or another run_dir=FOLDER"
        )
    return path


def _train(resolved: "Resolved", path: Path, console: "Console") -> None:
    from tltool.config.instantiate import check_needs
    from tltool.data.readers import checked_reader
    from tltool.run.folder import RUN_DIR_VARIABLE
    from tltool.run.ranks import is_main_process
    from tltool.run.start import check_start

    check_needs(resolved.config)
    check_start(resolved.config)
    checked_reader(resolved.config["dataset"])
    if resolved.config["hardware"].get("devices", 1) > 1:
        # Read when torch is imported: its remarks on DDP are on choices that are deliberate here.
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    console.quiet = not is_main_process()
    console.print(f"run {path}")

    from tltool.report.tables import print_results

    with console.status("loading torch and lightning"):
        from tltool.run.execute import execute
    from tltool.run.signals import Interrupted

    os.environ[RUN_DIR_VARIABLE] = str(path)
    try:
        results: dict[str, Any] = execute(resolved, path, sys.argv, console)
    except Interrupted as stop:
        if not is_main_process():  # Lightning kills rank 0 when another one fails
            raise typer.Exit(0) from None
        print(f"{stop}; go on with: tltool train --resume {path}", file=sys.stderr)
        raise typer.Exit(128 + stop.number) from None
    finally:
        del os.environ[RUN_DIR_VARIABLE]
    print_results(console, results, path)
