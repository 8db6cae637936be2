"""Tables for the terminal: one run with its controls, several runs side by side.

In a terminal they have rules and colour; in a pipe or a file they are plain text at full width,
whatever the width of the screen, so that a script can cut columns and paths stay whole.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from tltool.report import wording, working
from tltool.report.wording import Results

PLAIN_WIDTH = 10_000  # columns; no table of ours is wider
TONES = {"positive": "green", "none": "yellow", "negative": "red"}
RUN_COLUMNS = ("run", "status", "strategy", "seed")


@dataclass(frozen=True)
class Plainable:
    """A table that loses its rules, and is never cut, where the output is not a terminal."""

    table: Table

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        self.table.box = box.SIMPLE_HEAD if console.is_terminal else None
        self.table.pad_edge = console.is_terminal
        width = options.max_width if console.is_terminal else PLAIN_WIDTH
        yield from console.render(self.table, options.update(width=width))


def print_results(console: Console, results: Results, run_dir: Path) -> None:
    """Prints `results_table`, lines unbroken where the output is not a terminal."""
    show(console, results_table(results, run_dir))


def show(console: Console, table: RenderableType) -> None:
    """Prints a table of this module; outside a terminal nothing is cut to a width."""
    console.print(table, soft_wrap=not console.is_terminal, crop=False)


def results_table(results: Results, run_dir: Path) -> RenderableType:
    """Builds the metrics of a run beside its controls, then verdict, selection, counts, folder.

    Args:
        results: Contents of results.json.
        run_dir: The run folder; its report is named where there is one.
    """
    parts: list[RenderableType] = []
    if results.get("metrics"):
        parts += [Plainable(_metrics(results)), Text()]
    for grid in results.get("grids", []):
        parts += [Text(grid["title"]), Plainable(_grid(grid)), Text()]
    if verdicts := wording.verdicts(results):
        parts += [*(Text(sentence, TONES[word]) for word, sentence in verdicts), Text()]
    if signs := working.signs(results):
        parts += [Text("Is the adaptation working?"), Plainable(_signs(signs)), Text()]
    if rows := working.validator_rows(results):
        parts += [Text("What each validator would have chosen"), Plainable(_validators(rows))]
        parts += [Text()]
    if (sentence := working.oracle_sentence(results)) is not None:
        parts += [Text(sentence, "dim"), Text()]
    parts += [Text(f"warning: {line}", "yellow") for line in results.get("warnings", [])]
    for name, value in _facts(results, run_dir):
        # A path that the terminal breaks can be copied whole, one that we break cannot.
        path = name in ("run", "report")
        line = Text(f"{name:<12}", "dim", no_wrap=path, overflow="ignore" if path else None)
        parts.append(line.append(value, "not dim"))
    return Group(*parts)


def _metrics(results: Results) -> Table:
    controls = results.get("controls", {})
    table = Table("metric")
    for strategy in (results.get("strategy", "this run"), *controls):
        table.add_column(Text(strategy), justify="right", overflow="fold")
    for name, values in wording.metric_rows(results):
        table.add_row(Text(name), *values)
    return table


def _grid(grid: Mapping[str, Any]) -> Table:
    table = Table("")
    for name in grid["columns"]:
        table.add_column(Text(name), justify="right", overflow="fold")
    for name, values in wording.grid_rows(grid):
        table.add_row(Text(name), *values)
    return table


def _signs(signs: Sequence[working.Sign]) -> Table:
    table = Table("sign", "measured", "which says")
    for sign in signs:
        table.add_row(*map(Text, (sign.name, sign.figure, sign.says)))
    return table


def _validators(rows: Sequence[tuple[str, list[str]]]) -> Table:
    table = Table("validator")
    for name in working.VALIDATOR_COLUMNS:
        table.add_column(name, justify="right", overflow="fold")
    for name, values in rows:
        table.add_row(Text(name), *values)
    return table


def _facts(results: Results, run_dir: Path) -> Iterator[tuple[str, str]]:
    if results.get("status", "done") != "done":
        yield "status", results["status"]
    for line in wording.label_sets(results):
        yield "classes", line
    yield "selection", wording.selection_sentence(results)
    counts = wording.counts(results)
    sizes = {name: number for name, number in counts.items() if name.endswith(" parameters")}
    if examples := {name: number for name, number in counts.items() if name not in sizes}:
        yield "examples", ", ".join(f"{number} {name}" for name, number in examples.items())
    if sizes:
        yield "model", ", ".join(f"{number} {name}" for name, number in sizes.items())
    if timing := wording.timing(results):
        yield "time", ", ".join(timing.values())
    yield "run", str(run_dir)
    report = run_dir / "report.html"
    if report.exists():
        yield "report", str(report)


def side_by_side(rows: Sequence[Mapping[str, Any]]) -> RenderableType:
    """Builds one line a run: run, status, strategy, seed, then every metric any of them has.

    Args:
        rows: ``run``, ``status``, ``strategy``, ``seed``, each optional; every other key is a
            metric, with its value or None.
    """
    table = Table()
    present = dict.fromkeys(key for row in rows for key in row)
    labels = [name for name in RUN_COLUMNS if name in present]
    metrics = [name for name in present if name not in RUN_COLUMNS]
    for name in labels:
        table.add_column(name, justify="right" if name == "seed" else "left", overflow="fold")
    for name in metrics:
        table.add_column(Text(name), justify="right", overflow="fold")
    for row in rows:
        words = [Text(str(row.get(name, wording.NO_VALUE))) for name in labels]
        table.add_row(*words, *(wording.metric(name, row.get(name)) for name in metrics))
    return Plainable(table)


def options_table(groups: Mapping[str, Sequence[Any]]) -> RenderableType:
    """Builds one line an option, by group.

    Args:
        groups: Each group's `tltool.config.options.Option`s.
    """
    table = Table()
    for column in ("group", "option", "what it is", "learns from", "takes"):
        table.add_column(column, overflow="fold")
    for group, found in groups.items():
        for i, one in enumerate(found):
            table.add_row(
                Text(group if i == 0 else ""),
                Text(one.name, "bold"),
                Text(one.description),
                Text(one.feed or ""),
                Text(", ".join(one.modalities)),
            )
        table.add_section()
    return Plainable(table)


def checks_table(checks: Sequence[Any]) -> RenderableType:
    """Builds one line a check of `tltool doctor`."""
    table = Table()
    for column in ("check", "", "found"):
        table.add_column(column, overflow="fold")
    for check in checks:
        word, tone = ("ok", "green") if check.ok else ("no", "yellow")
        if not check.ok and check.required:
            word, tone = "FAILS", "red"
        table.add_row(Text(check.name), Text(word, tone), Text(check.found))
    return Plainable(table)
