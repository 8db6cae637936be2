"""Tables of several runs: protocols, published against measured, learning curves."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from tltool.report import wording
from tltool.report.tables import Plainable

TONES = {"reached": "green", "below": "red", "above": "red", "failed": "red"}


def protocols_table(protocols: Sequence[Any]) -> RenderableType:
    """Builds one line a `tltool.config.protocol.Protocol`."""
    table = Table()
    for column in ("protocol", "what it compares", "source", "needs"):
        table.add_column(column, overflow="fold")
    for one in protocols:
        needs = " ".join(f"{key}=…" for key in one.needs)
        table.add_row(Text(one.name, "bold"), Text(one.title), Text(one.source), Text(needs))
    return Plainable(table)


def comparison_table(report: Mapping[str, Any]) -> RenderableType:
    """Builds published against measured, and what is to be known of it.

    Args:
        report: The contents of reproduce.json.
    """
    table = Table()
    for column in ("figure", "metric"):
        table.add_column(column, overflow="fold")
    for column in ("published", "wanted", "measured", "deviation"):
        table.add_column(column, justify="right")
    table.add_column("verdict")
    table.add_column("seconds", justify="right")
    differs = {one["figure"]["differs"]: None for one in report["figures"]}
    notes = [text for text in differs if text is not None]
    for one in report["figures"]:
        figure = one["figure"]
        metric = figure["metric"]
        note = f" [{notes.index(figure['differs']) + 1}]" if figure["differs"] else ""
        table.add_row(
            Text(one["name"]),
            Text(metric),
            Text(_words(figure, figure["published"]) + note),
            Text(_wanted(figure)),
            Text(wording.spread(metric, one["mean"], one["sd"], figure["minus"] is not None)),
            Text(wording.spread(metric, one["deviation"], None, True)),
            Text(one["verdict"], TONES[one["verdict"]]),
            Text(f"{one['seconds']:.0f}"),
        )
    lines = [Text(line) for line in _remarks(report, notes)]
    return Group(Plainable(table), Text(), *lines)


def curve_table(points: Sequence[Mapping[str, Any]], metric: str) -> RenderableType:
    """Builds one line a number of labels, one column a strategy: mean ± sd over the seeds.

    Args:
        points: As in curve.json.
        metric: What they are of.
    """
    table = Table()
    strategies = dict.fromkeys(point["strategy"] for point in points)
    table.add_column("labels")
    table.add_column("of each class", justify="right")
    for name in strategies:
        table.add_column(Text(name), justify="right", overflow="fold")
    for labels in dict.fromkeys(point["labels"] for point in points):
        row = {point["strategy"]: point for point in points if point["labels"] == labels}
        number = next((p["labels_per_class"] for p in row.values() if p["values"]), None)
        words = [wording.spread(metric, p["mean"], p["sd"]) for p in row.values()]
        table.add_row(labels, wording.NO_VALUE if number is None else f"{number:.4g}", *words)
    return Group(Text(f"{metric}, mean ± sd over seeds"), Plainable(table))


def _remarks(report: Mapping[str, Any], notes: Sequence[str]) -> Iterator[str]:
    for number, text in enumerate(notes, start=1):
        yield f"[{number}] the published setting differs: {text}"
    seeds = report["seeds"]
    sure = "mean ± sd" if len(seeds) > 1 else "one seed only: no spread"
    yield f"seeds       {', '.join(map(str, seeds))} ({sure})"
    if seeds != list(report["protocol"]["seeds"]):
        yield f"            the protocol has {', '.join(map(str, report['protocol']['seeds']))}"
    if changed := report["changes"]:
        yield f"changed     {' '.join(changed)}: these are not the protocol's own figures"
    yield f"source      {report['protocol']['source']}"
    for run in report["runs"]:
        if run["status"] != "done":
            yield f"failed      {run['path']}: {run['reason']}"
    reached = [one["verdict"] == "reached" for one in report["figures"]]
    yield f"reached     {sum(reached)} of {len(reached)} figures"


def _words(figure: Mapping[str, Any], value: float | None) -> str:
    return wording.spread(figure["metric"], value, None, figure["minus"] is not None)


def _wanted(figure: Mapping[str, Any]) -> str:
    if figure["at_least"] is not None:
        return f"≥ {_words(figure, figure['at_least'])}"
    return f"± {wording.spread(figure['metric'], figure['tolerance'], None, True).lstrip('+')}"
