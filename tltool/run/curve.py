"""A learning curve: what strategies score by the number of labels that they learn from."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tltool.errors import UserError
from tltool.run.batch import Finished, Job, mean_and_sd

LABELS = ("1", "5", "20", "100%")
SEEDS = (0, 1, 2)
KEY = "dataset.labels_per_class"


@dataclass(frozen=True)
class Spot:
    """Where on the curve a run lies.

    Args:
        strategy: Its name.
        labels: As typed: ``20`` or ``10%``.
        seed: Of the run, which also draws the labels.
    """

    strategy: str
    labels: str
    seed: int


@dataclass(frozen=True)
class Point:
    """All runs of a strategy with one number of labels.

    Args:
        strategy: Its name.
        labels: As typed.
        labels_per_class: Training examples by number of classes; None if no run is done.
        seeds: Of the runs that are done.
        values: What each of them scored.
        mean: Over the seeds.
        sd: Sample standard deviation over the seeds; None for a single one.
        seconds: Of all runs.
    """

    strategy: str
    labels: str
    labels_per_class: float | None
    seeds: tuple[int, ...]
    values: tuple[float, ...]
    mean: float | None
    sd: float | None
    seconds: float


def check_labels(texts: Sequence[str]) -> None:
    """Refuses numbers of labels that are none.

    Raises:
        UserError: One line for each.
    """
    from tltool.data.labels import check_amount

    problems = []
    for text in texts:
        try:
            check_amount(_amount(text))
        except ValueError as error:
            problems.append(f"labels={text}: {str(error).partition(': ')[2]}")
    if len(set(texts)) < len(texts):
        problems.append(f"labels={','.join(texts)}: one of them is there twice")
    if problems:
        raise UserError(*problems)


def plan_curve(
    args: Sequence[str],
    strategies: Sequence[str] | None,
    labels: Sequence[str],
    seeds: Sequence[int],
    out: Path | None,
    config_dirs: Sequence[Path] = (),
) -> tuple[Path, dict[Spot, Job]]:
    """Resolves a run for every strategy, number of labels and seed.

    Args:
        args: Overrides that all share.
        strategies: Their names; that of `args` if None.
        labels: Checked.
        seeds: Of every point.
        out: Holds a folder for each run; runs/curve/NAME if None, by `name` or the dataset.
        config_dirs: Folders with options of the user's own.

    Returns:
        That folder, and the jobs, all of a seed before the next seed.

    Raises:
        UserError: Everything that is wrong with any of them, each line once.
    """
    from tltool.config.compose import resolve_all
    from tltool.run.folder import slug

    chosen = [[f"strategy={name}"] for name in strategies or ()] or [[]]
    keys = [(seed, strategy, text) for seed in seeds for strategy in chosen for text in labels]
    typed = [
        ["report=false", *args, *strategy, f"{KEY}={text}", f"seed={seed}"]
        for seed, strategy, text in keys
    ]
    jobs = {}
    for (seed, _, text), one in zip(keys, resolve_all(typed, config_dirs), strict=True):
        config, choices = one.config, one.choices
        folder = out or Path("runs/curve") / slug(config["name"] or choices["dataset"])
        spot = Spot(choices["strategy"], text, seed)
        name = f"{spot.strategy} {text} seed {seed}"
        jobs[spot] = Job(name, one, folder / slug(name.replace("%", "percent")))
    return folder, jobs


def points_of(finished: Mapping[Spot, Finished], metric: str) -> list[Point]:
    """Gathers the runs of each point.

    Raises:
        UserError: A run is done and has no such metric.
    """
    points: dict[tuple[str, str], dict[Spot, Finished]] = {}
    for spot, one in finished.items():
        points.setdefault((spot.strategy, spot.labels), {})[spot] = one
    return [_point(runs, metric) for runs in points.values()]


def _point(runs: Mapping[Spot, Finished], metric: str) -> Point:
    spot = next(iter(runs))
    done = {one.seed: run for one, run in runs.items() if run.done}
    values = tuple(_metric(run, metric) for run in done.values())
    mean, sd = mean_and_sd(values) if values else (None, None)
    return Point(
        strategy=spot.strategy,
        labels=spot.labels,
        labels_per_class=_labels_per_class(next(iter(done.values()))) if done else None,
        seeds=tuple(done),
        values=values,
        mean=mean,
        sd=sd,
        seconds=sum(run.seconds for run in runs.values()),
    )


def _metric(run: Finished, name: str) -> float:
    metrics = run.results["metrics"]
    if name not in metrics:
        raise UserError(f"{run.job.path} has no metric {name} ({', '.join(metrics)})")
    return float(metrics[name])


def _labels_per_class(run: Finished) -> float:
    amount = run.job.resolved.config["dataset"]["labels_per_class"]
    if isinstance(amount, int):
        return float(amount)
    from tltool.run.outcome import exported_spec

    return float(run.results["counts"]["source_train"] / exported_spec(run.job.path).num_classes)


def report_of(points: Sequence[Point], finished: Mapping[Spot, Finished], metric: str) -> Any:
    """Returns what curve.json holds."""
    from tltool.run.record import git_state, versions

    return {
        "schema": 1,
        "metric": metric,
        "points": [asdict(point) for point in points],
        "runs": [
            {
                **asdict(spot),
                "path": str(run.job.path),
                "seconds": run.seconds,
                **{key: run.results.get(key) for key in ("status", "reason", "metrics")},
            }
            for spot, run in finished.items()
        ],
        "versions": versions(),
        "git": git_state(),
    }


def as_csv(report: Mapping[str, Any]) -> str:
    """Returns one row a run: strategy, labels, labels_per_class, seed, the metric, seconds, run."""
    points = {(point["strategy"], point["labels"]): point for point in report["points"]}
    metric, text = report["metric"], io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("strategy", "labels", "labels_per_class", "seed", metric, "seconds", "run"))
    for run in report["runs"]:
        number = points[run["strategy"], run["labels"]]["labels_per_class"]
        value = (run["metrics"] or {}).get(metric, "")
        place = (run["strategy"], run["labels"], number, run["seed"])
        writer.writerow((*place, value, run["seconds"], run["path"]))
    return text.getvalue()


def _amount(text: str) -> int | str:
    return int(text) if text.isdecimal() else text
