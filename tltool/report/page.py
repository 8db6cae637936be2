"""The report of one run: a single HTML page that needs nothing beside itself."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tltool.report import drawing, matrices, plots, wording, working
from tltool.report.history import Floats, Row
from tltool.report.templates import render, write_page

_WORDS = {"accuracy": "accuracy", "r2": "R²"}


@dataclass(frozen=True)
class Embedding:
    """Features of some test images in two dimensions, for looking at.

    Args:
        points: (N, 2).
        labels: (N,), class indices, or -1; or numbers, or NaN.
        domains: (N,), ``"source"`` or ``"target"``.

    Raises:
        ValueError: Shapes do not fit.
    """

    points: NDArray[np.floating]
    labels: NDArray[np.integer] | NDArray[np.floating]
    domains: NDArray[np.str_]

    def __post_init__(self) -> None:
        number = len(self.points)
        if self.points.shape != (number, 2) or not len(self.labels) == len(self.domains) == number:
            shapes = (self.points.shape, self.labels.shape, self.domains.shape)
            raise ValueError(f"an embedding takes (N, 2), (N,) and (N,), not {shapes}")


@dataclass(frozen=True)
class ReportContent:
    """Everything the page shows; empty parts are left out of it.

    Args:
        title: Name of the run.
        results: Contents of results.json; ``selection.epoch`` counts from 1, accuracies are
            fractions, ``controls`` maps a strategy to its metrics.
        history: Rows of metrics.csv; ``epoch`` counts from 0.
        confusion: Counts (C, C) by split, rows are true classes.
        estimates: Where labels are numbers: true and predicted ones, (N,) each, by split.
        class_names: C names.
        embedding: Features of both domains, or None.
        changes: Key, value and default of every setting that is not at its default.
        record: Contents of record.json.

    Raises:
        ValueError: A confusion matrix does not fit the class names.
    """

    title: str
    results: dict[str, Any]
    history: list[Row] = field(default_factory=list)
    confusion: dict[str, NDArray[np.integer]] = field(default_factory=dict)
    estimates: dict[str, tuple[Floats, Floats]] = field(default_factory=dict)
    class_names: list[str] = field(default_factory=list)
    embedding: Embedding | None = None
    changes: list[tuple[str, object, object]] = field(default_factory=list)
    record: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        classes = len(self.class_names)
        for name, counts in self.confusion.items():
            if counts.shape != (classes, classes):
                raise ValueError(
                    f"confusion of '{name}' is {counts.shape}, but there are {classes} class names"
                )


@dataclass(frozen=True)
class Headline:
    """One of the large figures at the top."""

    label: str
    figure: str
    beside: str = ""


@dataclass(frozen=True)
class ClassRow:
    """Accuracy on one class, by split: share (None without images) and images."""

    name: str
    cells: tuple[tuple[float | None, int], ...]


def write_report(path: Path, content: ReportContent) -> None:
    """Writes the page; a page that was there stays whole until the new one is.

    The same content gives the same bytes.

    Args:
        path: Of the HTML file, in a folder that exists.
        content: What to show.

    Raises:
        OSError: The file cannot be written.
    """
    write_page(path, _render(content))


def _render(content: ReportContent) -> str:
    results, embedding = content.results, content.embedding
    grids = results.get("grids", [])
    return render(
        "page.html.jinja",
        title=content.title,
        facts=[
            (key, results[key])
            for key in ("strategy", "dataset", "backbone", "seed", "status")
            if key in results
        ],
        headlines=list(_headlines(results)),
        verdicts=wording.verdicts(results),
        selection=wording.selection_sentence(results),
        label_sets=wording.label_sets(results),
        warnings=results.get("warnings", []),
        strategies=[results.get("strategy", "this run"), *results.get("controls", {})],
        metrics=wording.metric_rows(results),
        pictures=[matrices.grid_plot(grid) for grid in grids if grid["heat"]],
        tables=[(grid, wording.grid_rows(grid)) for grid in grids if not grid["heat"]],
        signs=working.signs(results),
        validator_columns=working.VALIDATOR_COLUMNS,
        validators=working.validator_rows(results),
        oracle=working.oracle_sentence(results),
        learning=plots.learning_plots(content.history),
        confusion=[
            matrices.confusion_plot(name, counts, content.class_names)
            for name, counts in content.confusion.items()
        ],
        estimates=[
            plots.estimates_plot(name, labels, predicted)
            for name, (labels, predicted) in content.estimates.items()
        ],
        splits=list(content.confusion),
        classes=_class_rows(content.confusion, content.class_names),
        many_classes=len(content.class_names) > drawing.MAX_NAMED,
        embedding=embedding and plots.embedding_plots(
            embedding.points.astype(float), embedding.labels, embedding.domains,
            content.class_names,
        ),
        changes=[(key, _text(value), _text(default)) for key, value, default in content.changes],
        counts={**wording.counts(results), **wording.timing(results)},
        record=list(_flat(content.record)),
    )  # fmt: skip


def _headlines(results: Mapping[str, Any]) -> Iterator[Headline]:
    controls = results.get("controls", {})
    names = [(d, m) for d in ("target", "source") for m in ("accuracy", "r2")]
    for domain, metric in names:
        name = f"{domain}_test/{metric}"
        if name not in results.get("metrics", {}):
            continue
        beside = [
            f"{control} {wording.metric(name, metrics[name])}"
            for control, metrics in controls.items()
            if name in metrics
        ]
        figure = wording.metric(name, results["metrics"][name])
        yield Headline(f"{domain} test {_WORDS[metric]}", figure, ", ".join(beside))
    if verdict := results.get("verdict"):
        figure, _, unit = wording.gain(verdict["metric"], verdict["gain"]).partition(" ")
        unit = unit or _WORDS.get(verdict["metric"].rpartition("/")[2], "more")
        yield Headline(f"{unit} over {verdict['control']}", figure, wording.interval(verdict))


def _class_rows(
    confusion: Mapping[str, NDArray[np.integer]], class_names: Sequence[str]
) -> list[ClassRow]:
    rows = []
    for index, name in enumerate(class_names):
        cells = []
        for counts in confusion.values():
            images = int(counts[index].sum())
            cells.append((counts[index, index] / images if images else None, images))
        rows.append(ClassRow(name, tuple(cells)))
    return rows


def _flat(record: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in record.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", _text(value)


def _text(value: object) -> str:
    """Writes a setting the way a person would type it: null, true, [1, 2], text without quotes."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
