"""Runs a protocol, and holds what was measured against what is published."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from tltool.config.protocol import Figure, Protocol
from tltool.errors import UserError, did_you_mean
from tltool.run.batch import Finished, Job, mean_and_sd

Verdict = Literal["reached", "below", "above", "failed"]
KEPT = ("status", "reason", "metrics", "selection", "timing", "warnings")  # of results.json
ROUNDING = 1e-9  # .75 - .55 is not quite .2
# What changes where a run is done, not what it measures.
HARMLESS = ("hardware", "hardware.", "logger", "logger.", "dataset.cache", "log_every")


@dataclass(frozen=True)
class Comparison:
    """A figure, measured.

    Args:
        figure: What was wanted.
        values: Of each seed; empty if a run behind it failed.
        mean: Over the seeds.
        sd: Sample standard deviation over the seeds; None for a single one.
        deviation: Mean less the published figure; less the bar, where none is published.
        verdict: ``below`` and ``above`` are outside of what was wanted; ``failed`` has no figure.
        seconds: Of all runs behind it.
    """

    figure: Figure
    values: tuple[float, ...]
    mean: float | None
    sd: float | None
    deviation: float | None
    verdict: Verdict
    seconds: float


def missing_needs(protocol: Protocol, args: Sequence[str]) -> list[str]:
    """Returns one line for each key that the user must give and did not."""
    given = {_key(arg) for arg in args}
    absent = {key: words for key, words in protocol.needs.items() if key not in given}
    return [f"{protocol.name} needs {key}: type {key}={words}" for key, words in absent.items()]


def changes(protocol: Protocol, args: Sequence[str]) -> list[str]:
    """Returns the overrides with which a run is no longer what the protocol says."""
    return [arg for arg in args if _key(arg) not in protocol.needs and not _harmless(_key(arg))]


def plan_protocol(
    protocol: Protocol,
    args: Sequence[str],
    seeds: Sequence[int],
    out: Path,
    config_dirs: Sequence[Path] = (),
) -> dict[tuple[str, int], Job]:
    """Resolves every run of a protocol with every seed.

    Args:
        protocol: What to run.
        args: Overrides of the user's, which win.
        seeds: In place of the protocol's.
        out: Holds a folder for each run.
        config_dirs: Folders with options of the user's own.

    Returns:
        Jobs by run and seed, all runs of a seed before the next seed.

    Raises:
        UserError: Everything that is wrong with any of them, each line once.
    """
    from tltool.config.compose import resolve_all
    from tltool.run.folder import slug

    keys = [(run, seed) for seed in seeds for run in protocol.runs]
    typed = [
        ["report=false", *protocol.arguments(run), *args, f"seed={seed}"] for run, seed in keys
    ]
    needed = missing_needs(protocol, args)
    try:
        resolved = resolve_all(typed, config_dirs)
    except UserError as error:
        # What is needed is said once, in the protocol's words.
        told = tuple(f"{key} is required" for key in protocol.needs) if needed else ()
        others = (line for line in error.problems if not line.startswith(told))
        raise UserError(*needed, *others) from error
    if needed:
        raise UserError(*needed)
    return {
        (run.name, seed): Job(f"{run.name} seed {seed}", one, out / f"{slug(run.name)}-seed{seed}")
        for (run, seed), one in zip(keys, resolved, strict=True)
    }


def compare(figure: Figure, finished: Mapping[tuple[str, int], Finished]) -> Comparison:
    """Returns what was measured of a figure.

    Args:
        figure: What is wanted.
        finished: By run and seed.

    Raises:
        UserError: A run is done and has no such metric.
    """
    names = [name for name in (figure.of, figure.minus) if name is not None]
    behind = {key: one for key, one in finished.items() if key[0] in names}
    seconds = sum(one.seconds for one in behind.values())
    if not all(one.done for one in behind.values()):
        return Comparison(figure, (), None, None, None, "failed", seconds)
    values = []
    for seed in dict.fromkeys(seed for _, seed in behind):
        value, *less = (_metric(figure.metric, behind[name, seed]) for name in names)
        values.append(value - sum(less))
    mean, sd = mean_and_sd(values)
    reference = figure.at_least if figure.published is None else figure.published
    assert reference is not None  # a figure has a tolerance around the one, or the other
    deviation = mean - reference
    verdict = _verdict(figure, mean, deviation)
    return Comparison(figure, tuple(values), mean, sd, deviation, verdict, seconds)


def report_of(
    protocol: Protocol,
    args: Sequence[str],
    finished: Mapping[tuple[str, int], Finished],
    compared: Sequence[Comparison],
) -> dict[str, Any]:
    """Returns what reproduce.json holds."""
    from tltool.run.record import git_state, versions

    return {
        "schema": 1,
        "protocol": asdict(protocol),
        "overrides": list(args),
        "changes": changes(protocol, args),
        "seeds": list(dict.fromkeys(seed for _, seed in finished)),
        "reached": all(one.verdict == "reached" for one in compared),
        "figures": [asdict(one) | {"name": one.figure.name} for one in compared],
        "runs": [
            {
                "name": name,
                "seed": seed,
                "path": str(one.job.path),
                "seconds": one.seconds,
                **{key: one.results.get(key) for key in KEPT},
            }
            for (name, seed), one in finished.items()
        ],
        "versions": versions(),
        "git": git_state(),
    }


def _verdict(figure: Figure, mean: float, deviation: float) -> Verdict:
    if figure.at_least is not None:
        return "reached" if mean >= figure.at_least - ROUNDING else "below"
    assert figure.tolerance is not None
    if abs(deviation) <= figure.tolerance + ROUNDING:
        return "reached"
    return "below" if deviation < 0 else "above"


def _metric(name: str, run: Finished) -> float:
    metrics = run.results["metrics"]
    if name not in metrics:
        hint = did_you_mean(name, metrics)
        raise UserError(f"{run.job.path} has no metric {name}{hint} ({', '.join(metrics)})")
    return float(metrics[name])


def _key(arg: str) -> str:
    return arg.partition("=")[0].lstrip("+~")


def _harmless(key: str) -> bool:
    return key in HARMLESS or key.startswith(tuple(one for one in HARMLESS if one.endswith(".")))
