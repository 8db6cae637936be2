"""Several runs, one after the other, each in a folder of its own; what is done is kept."""

import gc
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tltool.errors import UserError
from tltool.run.folder import RunFolder, read_config

if TYPE_CHECKING:
    from rich.console import Console

    from tltool.config.compose import Resolved


@dataclass(frozen=True)
class Job:
    """One run of a batch.

    Args:
        name: What it is called while it runs.
        resolved: What to run.
        path: Its folder.
    """

    name: str
    resolved: "Resolved"
    path: Path


@dataclass(frozen=True)
class Finished:
    """What became of a job.

    Args:
        job: The job.
        results: Its results.json.
        seconds: Over all of its interruptions.
    """

    job: Job
    results: dict[str, Any]
    seconds: float

    @property
    def done(self) -> bool:
        """Whether it has figures."""
        return bool(self.results.get("status") == "done")


def split_off(args: Sequence[str], *keys: str) -> tuple[list[str] | None, list[str]]:
    """Takes a list of values (``seeds=0,1,2``) out of what was typed.

    Args:
        args: Overrides.
        keys: Names that the list goes by; the last one typed wins.

    Returns:
        The values, None where it was not typed, and all other overrides.
    """
    values, others = None, []
    for arg in args:
        key, equals, text = arg.partition("=")
        if equals and key.lstrip("+") in keys:
            values = [item.strip() for item in text.strip("[]").split(",")]
        else:
            others.append(arg)
    return values, others


def seeds_of(texts: Sequence[str]) -> tuple[int, ...]:
    """Returns the seeds that were typed.

    Raises:
        UserError: One is no whole number, or twice there.
    """
    wrong = [text for text in texts if not text.isdecimal()]
    if wrong or len(set(map(int, texts))) < len(texts):
        raise UserError(f"seeds={','.join(texts)}: whole numbers wanted, none twice: seeds=0,1,2")
    return tuple(map(int, texts))


def mean_and_sd(values: Sequence[float]) -> tuple[float, float | None]:
    """Returns mean and sample standard deviation of at least one value; None for the sd of one."""
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None


def problems_of(resolved: "Resolved", path: Path, command: str, folder: str) -> list[str]:
    """Returns what would keep a run of several from starting.

    Args:
        resolved: What to run.
        path: Its folder; one in which nothing was trained is free.
        command: What runs them, for messages.
        folder: The option that names another folder.
    """
    from tltool.config.instantiate import check_needs
    from tltool.run.start import check_start

    config, problems = resolved.config, []
    if config["run_dir"] is not None:
        problems.append(f"run_dir={config['run_dir']}: with {command} type {folder}=FOLDER")
    if config["hardware"].get("devices", 1) > 1:
        problems.append(
            f"hardware.devices above 1 cannot be used with {command}: only a single train takes it"
        )
    try:
        check_needs(config)
        check_start(config)
        if _holds_something(path) and read_config(path) != resolved.saved():
            problems.append(f"{path} holds another run: type another {folder}=FOLDER")
    except UserError as error:
        problems += error.problems
    return problems


def check_jobs(jobs: Sequence[Job], command: str) -> None:
    """Looks for everything that can be wrong before the first job starts.

    Raises:
        UserError: One line for each problem.
    """
    from tltool.data.readers import checked_reader

    problems: dict[str, None] = {}
    checked: list[Any] = []
    for job in jobs:
        problems.update(dict.fromkeys(problems_of(job.resolved, job.path, command, "--out")))
        dataset = job.resolved.config["dataset"]
        if dataset not in checked:
            checked.append(dataset)
            try:
                checked_reader(dataset)
            except UserError as error:
                problems.update(dict.fromkeys(error.problems))
    if problems:
        raise UserError(*problems)


def run_jobs(jobs: Sequence[Job], typed: Sequence[str], console: "Console") -> list[Finished]:
    """Runs what is not done yet; a run that fails costs only itself.

    Args:
        jobs: Checked.
        typed: What was typed, for the records.
        console: Where progress is shown.

    Raises:
        UserError: Input that only a run can find to be unusable.
        Interrupted: A signal came; the same jobs again go on from there.
    """
    with console.status("loading torch and lightning"):
        from tltool.run.execute import execute
    from tltool.run.signals import Interrupted, Signals

    finished = []
    with Signals():
        for number, job in enumerate(jobs, start=1):
            place = f"{number}/{len(jobs)} {job.name}"
            if _results(job.path).get("status") == "done":
                console.print(f"{place}: done before, {job.path}", soft_wrap=True)
            else:
                console.print(f"{place}: {job.path}", soft_wrap=True)
                try:
                    execute(job.resolved, job.path, typed, console)
                except (UserError, Interrupted):
                    raise
                except Exception as error:  # its record and log.txt say why
                    reason = str(error) or type(error).__name__
                    console.print(f"{place} failed: {reason}", style="red", soft_wrap=True)
                gc.collect()  # what a run leaves in reference cycles would stay in memory
            finished.append(_finished(job))
    return finished


def _finished(job: Job) -> Finished:
    # A disk that was full from the start leaves no record.
    seconds = RunFolder(job.path).read_json("record.json").get("duration_s", 0.0)
    return Finished(job, _results(job.path), float(seconds))


def _results(path: Path) -> dict[str, Any]:
    return RunFolder(path).read_json("results.json")


def _holds_something(path: Path) -> bool:
    """Whether a folder holds a run that is done, or that can be resumed."""
    if not (path / "config.yaml").exists():
        return False
    return _results(path).get("status") == "done" or (path / "checkpoints/last.ckpt").exists()
