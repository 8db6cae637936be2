"""A protocol's runs as a table in Markdown, and the place in a file that it belongs to."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tltool.errors import UserError
from tltool.report.wording import NO_VALUE, spread
from tltool.run.batch import mean_and_sd

HEAD = ("run", "target accuracy", "over {}", "source accuracy", "classes predicted", "selection")
COST = "CPU-seconds a step"
TARGET, SOURCE = "target_test/accuracy", "source_test/accuracy"
PREDICTED = "target_test/predicted_classes"


def runs_table(report: Mapping[str, Any]) -> str:
    """Returns one line a run: means ± sd over the seeds, what chose the epoch, and what it costs.

    Args:
        report: The contents of reproduce.json; its first run is what the others are held against.
    """
    names = list(dict.fromkeys(run["name"] for run in report["runs"]))
    by_name = {name: [run for run in report["runs"] if run["name"] == name] for name in names}
    head = [*(cell.format(f"`{names[0]}`") for cell in HEAD), COST]
    lines = [_line(head), _line(["---", *["---:"] * 4, "---", "---:"])]
    lines += [_line(_cells(name, runs, by_name[names[0]])) for name, runs in by_name.items()]
    return "\n".join(lines) + "\n"


def put_into(path: Path, name: str, text: str) -> None:
    """Puts a text between ``<!-- NAME -->`` and ``<!-- /NAME -->``, in place of what is there.

    Raises:
        UserError: The file has no such place.
    """
    start, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
    before = path.read_text(encoding="utf-8") if path.is_file() else ""
    head, found, rest = before.partition(start)
    _, closed, tail = rest.partition(end)
    if not found or not closed:
        raise UserError(f"--into {path}: no place for it: two lines {start.strip()} and {end}")
    path.write_text(f"{head}{start}\n{text}\n{end}{tail}", encoding="utf-8")


def _cells(
    name: str, runs: Sequence[Mapping[str, Any]], base: Sequence[Mapping[str, Any]]
) -> Iterator[str]:
    yield f"`{name}`"
    done = [run for run in runs if run["status"] == "done"]
    if len(done) < len(runs):
        yield f"{len(runs) - len(done)} of {len(runs)} failed"
        yield from [NO_VALUE] * 5
        return
    yield _mean(done, TARGET)
    theirs = {run["seed"]: run["metrics"].get(TARGET) for run in base if run["status"] == "done"}
    gains = [
        run["metrics"][TARGET] - theirs[run["seed"]]
        for run in done
        if theirs.get(run["seed"]) is not None
    ]
    same = runs[0]["name"] == base[0]["name"]
    yield NO_VALUE if same or not gains else spread(TARGET, *mean_and_sd(gains), difference=True)
    yield _mean(done, SOURCE)
    yield _mean(done, PREDICTED, ".1f")
    yield ", ".join(dict.fromkeys(f"`{run['selection']['rule']}`" for run in done))
    costs = [run["timing"]["fit_cpu_s"] / max(run["timing"]["steps"], 1) for run in done]
    yield f"{mean_and_sd(costs)[0]:.3f}"


def _mean(runs: Sequence[Mapping[str, Any]], metric: str, digits: str | None = None) -> str:
    values = [run["metrics"][metric] for run in runs if metric in run["metrics"]]
    if not values:
        return NO_VALUE
    mean, sd = mean_and_sd(values)
    return spread(metric, mean, sd) if digits is None else f"{mean:{digits}}"


def _line(cells: Sequence[str] | Iterator[str]) -> str:
    return f"| {' | '.join(cells)} |"
