"""The page of a learning curve: a plot over the number of labels, and its table."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tltool.report import wording
from tltool.report.drawing import LINES, WIDTH, Key, Plot, axes_of, inline
from tltool.report.templates import render, write_page

Points = Sequence[Mapping[str, Any]]


def write_curve(
    path: Path, report: Mapping[str, Any], title: str, facts: Mapping[str, str]
) -> None:
    """Writes the page.

    Args:
        path: Of the HTML file, in a folder that exists.
        report: The contents of curve.json.
        title: Of the page.
        facts: What all runs have in common, in words.

    Raises:
        OSError: The file cannot be written.
    """
    metric = report["metric"]
    rows = [
        {
            **point,
            "number": None if point["mean"] is None else f"{point['labels_per_class']:.4g}",
            "spread": wording.spread(metric, point["mean"], point["sd"]),
            "each": ", ".join(wording.metric(metric, value) for value in point["values"]),
        }
        for point in report["points"]
    ]
    failed = [run for run in report["runs"] if run["status"] != "done"]
    plot = curve_plot(report["points"], metric)
    page = render(
        "curve.html.jinja", title=title, facts=facts, metric=metric, plot=plot, rows=rows,
        failed=failed,
    )  # fmt: skip
    write_page(path, page)


def curve_plot(points: Points, metric: str) -> Plot:
    """Draws one line a strategy: means over labels on a log scale, one sd as a band.

    Args:
        points: As in curve.json.
        metric: What they are of.
    """
    percent = wording.is_fraction(metric)
    scale = 100 if percent else 1
    drawn = [point for point in points if point["mean"] is not None]
    keys, words = [], []
    with axes_of(WIDTH, 3.8) as (figure, axes):
        for index, strategy in enumerate(dict.fromkeys(point["strategy"] for point in drawn)):
            colour = LINES[index % len(LINES)]
            mine = [point for point in drawn if point["strategy"] == strategy]
            mine.sort(key=lambda point: float(point["labels_per_class"]))
            x = np.array([point["labels_per_class"] for point in mine])
            mean = scale * np.array([point["mean"] for point in mine])
            sd = scale * np.array([point["sd"] or 0.0 for point in mine])
            axes.fill_between(x, mean - sd, mean + sd, color=colour, alpha=0.18, linewidth=0)
            axes.plot(x, mean, color=colour, linewidth=1.6, marker="o", markersize=4)
            keys.append(Key(strategy, colour, "line"))
            values = ", ".join(f"{m:.3g} at {n:.4g}" for n, m in zip(x, mean, strict=True))
            words.append(f"{strategy} {values}")
        places = sorted({point["labels_per_class"] for point in drawn})
        axes.set_xscale("log")
        axes.set_xticks(places, [f"{place:.4g}" for place in places])
        axes.set_xticks([], minor=True)
        axes.set_xlabel("labels of each class (log scale)")
        axes.set_ylabel(f"{metric} (%)" if percent else metric)
        svg = inline(figure, f"{metric} over labels of each class: {'; '.join(words)}")
    return Plot(metric, svg, tuple(keys), "mean over the seeds; the band is one standard deviation")
