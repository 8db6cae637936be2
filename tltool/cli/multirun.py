"""`tltool train -m`: Hydra's multirun, with any Hydra launcher."""

import json
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tltool.errors import RunError, UserError

if TYPE_CHECKING:
    from omegaconf import DictConfig
    from rich.console import Console

SWEEP_DIR = "hydra.sweep.dir="


def run_all(args: Sequence[str], folders: Sequence[Path], console: "Console") -> int:
    """Runs every combination in a folder of its own; returns 0 if all are done, else 1.

    Raises:
        UserError: Anything wrong with any of the runs, before the first one starts.
    """
    import hydra

    from tltool.config.compose import hydra_arguments, plan
    from tltool.config.paths import conf_dir
    from tltool.run.signals import Interrupted

    runs = plan(args, folders)
    given = [arg.removeprefix(SWEEP_DIR) for arg in args if arg.startswith(SWEEP_DIR)]
    stamp = datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    sweep = Path(given[-1] if given else f"runs/multirun/{stamp}")
    console.print(f"{len(runs)} runs in {sweep}")
    typed, command = list(sys.argv), hydra_arguments(args, folders)
    sys.argv = ["tltool", "--multirun", *command, f"{SWEEP_DIR}{sweep}"]
    try:
        # hydra.main is untyped here: what it decorates takes no arguments.
        decorate: Any = hydra.main(
            version_base="1.3", config_path=str(conf_dir()), config_name="config"
        )
        decorate(_Job(typed))()
    except Interrupted as stop:
        print(f"{stop}; go on with each run by: tltool train --resume RUN", file=sys.stderr)
        return 128 + stop.number
    finally:
        sys.argv = typed
    return _summary(sweep, len(runs), console)


class _Job:
    """One run of a multirun, in whichever process the launcher calls it."""

    __name__ = "train"

    def __init__(self, command: list[str]) -> None:
        self.command = command

    def __call__(self, config: "DictConfig") -> None:
        from hydra.core.hydra_config import HydraConfig
        from rich.console import Console

        from tltool.config.compose import resolve_node
        from tltool.config.instantiate import check_needs
        from tltool.run.execute import execute

        job = HydraConfig.get()
        overrides = list(job.overrides.task)
        path = Path(job.runtime.output_dir)
        console = Console()
        console.print(f"run {path}: {' '.join(overrides)}")
        # A run that fails costs only itself: its record says why, and the summary shows it.
        try:
            resolved = resolve_node(config, job.runtime.choices, overrides)
            check_needs(resolved.config)
            if resolved.config["hardware"]["devices"] > 1:
                raise UserError(
                    "hardware.devices above 1 cannot be used with -m: type it without -m"
                )
            execute(resolved, path, self.command, console)
        except (UserError, RunError, RuntimeError, OSError) as error:
            print(f"error: {path}: {error}", file=sys.stderr)


def _summary(sweep: Path, runs: int, console: "Console") -> int:
    from tltool.report.tables import show, side_by_side

    rows = []
    for number in range(runs):
        path = sweep / str(number)
        file = path / "results.json"
        results = json.loads(file.read_text()) if file.is_file() else {}
        row = {key: results.get(key, "") for key in ("strategy", "seed")}
        status = results.get("status", "failed")
        rows.append({"run": str(path), "status": status, **row, **results.get("metrics", {})})
    show(console, side_by_side(rows))
    return 0 if all(row["status"] == "done" for row in rows) else 1
