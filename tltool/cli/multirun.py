"""`tltool train -m`: Hydra's multirun, with any Hydra launcher."""

import gc
import json
import shlex
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tltool.errors import UserError

if TYPE_CHECKING:
    from omegaconf import DictConfig
    from rich.console import Console

    from tltool.config.compose import Resolved

SWEEP_DIR = "hydra.sweep.dir"
SUBDIR = "hydra.sweep.subdir"


def run_all(args: Sequence[str], folders: Sequence[Path], console: "Console") -> int:
    """Runs every combination in a folder of its own, ``0``, ``1``, ... of the sweep's folder.

    In a sweep's folder of before, runs that are done are kept, and all others go on.

    Returns:
        0 if all are done, else 1; 128 + the signal's number if one came.

    Raises:
        UserError: Anything wrong with any of the runs, before the first one starts.
    """
    from tltool.config.compose import hydra_arguments, plan
    from tltool.run.signals import Interrupted, Signals

    sweep, others = _sweep_dir(args)
    planned: list[Resolved] = []
    plan(args, folders, planned.append)
    _check(planned, sweep)
    console.print(f"{len(planned)} runs in {sweep}", soft_wrap=True)
    quoted = str(sweep.absolute()).replace("'", r"\'")
    try:
        with Signals():
            _launch([*hydra_arguments(others, folders), f"{SWEEP_DIR}='{quoted}'"])
    except Interrupted as stop:
        dirs = [part for folder in folders for part in ("--config-dir", str(folder))]
        again = shlex.join(["train", "-m", *others, f"{SWEEP_DIR}={sweep}", *dirs])
        print(f"{stop}; go on with: tltool {again}", file=sys.stderr)
        return 128 + stop.number
    except SystemExit:  # Hydra has said what stopped it, such as a worker that was killed
        if not sweep.exists():
            return 1
    return _summary(sweep, len(planned), console)


def _sweep_dir(args: Sequence[str]) -> "tuple[Path, list[str]]":
    """Returns the folder of the sweep, and the overrides that do not set it."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    given: str | None = None
    others = []
    for arg in args:
        key, _, text = arg.lstrip("+").partition("=")
        if key == SUBDIR:
            raise UserError(f"{arg}: the runs' folders are numbered; type {SWEEP_DIR}=FOLDER")
        if key != SWEEP_DIR:
            others.append(arg)
            continue
        try:
            [override] = OverridesParser.create().parse_overrides([arg])
        except HydraException:
            raise UserError(f"{arg}: cannot be read; quote it: \"{key}='{text}'\"") from None
        given = str(override.value())
        if "${" in given or override.is_sweep_override():
            raise UserError(f"{arg}: it is one folder, and its name is taken as it is")
    stamp = datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    return Path(given or f"runs/multirun/{stamp}"), others


def _check(planned: "Sequence[Resolved]", sweep: Path) -> None:
    """Looks for what only a multirun can have wrong, and for missing packages."""
    from tltool.run.batch import problems_of

    found = [
        problems_of(run, sweep / str(number), "-m", SWEEP_DIR) for number, run in enumerate(planned)
    ]
    if problems := dict.fromkeys(line for lines in found for line in lines):
        raise UserError(*problems)


def _launch(arguments: Sequence[str]) -> None:
    """Lets Hydra run its task for each combination."""
    import hydra

    from tltool.config.paths import conf_dir

    typed = list(sys.argv)
    sys.argv = ["tltool", "--multirun", *arguments]
    try:
        # hydra.main is untyped here: what it decorates takes no arguments.
        decorate: Any = hydra.main(
            version_base="1.3", config_path=str(conf_dir()), config_name="config"
        )
        decorate(_Job(typed))()
    finally:
        sys.argv = typed


class _Job:
    """One run of a multirun, in whichever process the launcher calls it."""

    __name__ = "train"

    def __init__(self, command: list[str]) -> None:
        self.command = command

    def __call__(self, config: "DictConfig") -> None:
        from hydra.core.hydra_config import HydraConfig
        from rich.console import Console

        from tltool.config.compose import resolve_node
        from tltool.run.execute import execute

        job = HydraConfig.get()
        overrides = list(job.overrides.task)
        path = Path(job.runtime.output_dir)
        console = Console()
        shown = " ".join(override.lstrip("+") for override in overrides)
        console.print(f"run {path}: {shown}", soft_wrap=True)
        try:
            resolved = resolve_node(config, job.runtime.choices, overrides)
            execute(resolved, path, self.command, console)
        except Exception as error:  # it costs this run only: its record and log.txt say why
            reason = str(error) or type(error).__name__
            print(f"error: {path}: {'; '.join(reason.splitlines())}", file=sys.stderr)
        gc.collect()  # what a run leaves in reference cycles would stay in the GPU's memory


def _summary(sweep: Path, runs: int, console: "Console") -> int:
    from tltool.report.tables import show, side_by_side

    rows, reasons = [], []
    for number in range(runs):
        path = sweep / str(number)
        file = path / "results.json"
        results = json.loads(file.read_text()) if file.is_file() else {}
        row = {key: results.get(key, "") for key in ("strategy", "seed")}
        status = results.get("status", "failed")
        rows.append({"run": str(path), "status": status, **row, **results.get("metrics", {})})
        if reason := results.get("reason"):
            reasons.append(f"{path}: {reason}")
    show(console, side_by_side(rows))
    for line in reasons:
        console.print(line, soft_wrap=True, highlight=False)
    return 0 if all(row["status"] == "done" for row in rows) else 1
