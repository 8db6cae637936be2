"""Plots as inline SVG: no font, script or address outside; colours that follow the page's theme.

Words that come from data stay out of the SVG where they can (legends are HTML and wrap on a
phone); the class names beside a confusion matrix are the exception.
"""

import io
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from tltool.report.history import Floats, Row, series, series_names

INK = "#0a0b0c"  # stands for the text colour of the page until `_inline` replaces it
SHADE = (
    63 / 255,
    130 / 255,
    214 / 255,
)  # colour of a full cell in a confusion matrix; the page's --shade
BLUE, ORANGE = "#3f82d6", "#e07b00"
LINES = (BLUE, ORANGE, "#2a9d5c", "#c8456b", "#8e6cc9", "#1f9aa5", "#a3762c", "#7a828c")
MAX_NAMED = 20  # classes: beyond that, neither counts nor names can be read in a plot
NAME_LENGTH = 14  # characters of a class name beside a matrix
WIDTH = 5.8  # inches of 72 px: about what a card gives it, so that 10 pt text stays 10 px
DPI = 160  # of the parts drawn as pixels
STYLE = {
    "axes.axisbelow": True,
    "axes.edgecolor": INK,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.size": 10,
    "grid.alpha": 0.15,
    "grid.color": INK,
    "svg.fonttype": "none",
    "svg.hashsalt": "tltool",  # ids, and with them the file, are the same every time
    "text.color": INK,
    "text.parse_math": False,  # a class may be called "$5"
    "xtick.color": INK,
    "ytick.color": INK,
}


@dataclass(frozen=True)
class Key:
    """One entry of a legend: what is drawn how."""

    label: str
    colour: str
    mark: Literal["line", "dash", "circle", "cross", "square"]


@dataclass(frozen=True)
class Plot:
    """A drawn plot and the words around it."""

    title: str
    svg: Markup
    legend: tuple[Key, ...] = ()
    note: str = ""


def learning_plots(history: Sequence[Row]) -> list[Plot]:
    """Draws losses, accuracies, discriminator accuracy and learning rate, those that are there."""
    groups: dict[str, dict[str, tuple[Floats, Floats]]] = {}
    for name in series_names(history):
        drawn = series(history, name)
        if len(drawn[0]):
            groups.setdefault(_group(name), {})[name] = drawn
    plots = []
    if losses := groups.get("loss"):
        plots.append(_curves("Loss terms", "loss (no unit)", losses))
    if accuracies := groups.get("accuracy"):
        plots.append(_curves("Accuracy", "accuracy (%)", _in_percent(accuracies)))
    if discriminator := groups.get("discriminator"):
        title, axis = "Discriminator accuracy", "source or target told right (%)"
        plots.append(_curves(title, axis, _in_percent(discriminator), chance=50.0))
    if rates := groups.get("rate"):
        plots.append(_curves("Learning rate", "learning rate (no unit)", rates))
    return plots


def _group(name: str) -> str:
    last = name.rpartition("/")[2]
    if last == "domain_accuracy":
        return "discriminator"
    if "accuracy" in last:
        return "accuracy"
    return "rate" if last == "lr" or name.startswith("lr-") else "loss"


def _in_percent(
    group: Mapping[str, tuple[Floats, Floats]],
) -> dict[str, tuple[Floats, Floats]]:
    return {name: (steps, 100 * values) for name, (steps, values) in group.items()}


def _curves(
    title: str,
    axis: str,
    group: Mapping[str, tuple[Floats, Floats]],
    chance: float | None = None,
) -> Plot:
    keys, ends = [], []
    with _axes(WIDTH, 3.4) as (figure, axes):
        for index, (name, (steps, values)) in enumerate(group.items()):
            colour = LINES[index % len(LINES)]
            axes.plot(
                steps, values, color=colour, linewidth=1.4, marker="o" if len(steps) < 30 else "",
                markersize=3.5,
            )  # fmt: skip
            keys.append(Key(name, colour, "line"))
            ends.append(f"{name} from {values[0]:.3g} to {values[-1]:.3g}")
        if chance is not None:
            axes.axhline(chance, color=INK, linewidth=1, linestyle="--", alpha=0.6)
            keys.append(Key(f"chance, {chance:.0f} %", "currentColor", "dash"))
        if axis.endswith("(%)"):
            axes.set_ylim(-2, 102)
        axes.set_xlabel("training step (batches)")
        axes.set_ylabel(axis)
        svg = _inline(figure, f"{title} over training: {'; '.join(ends)}")
    return Plot(title, svg, tuple(keys))


def confusion_plot(name: str, counts: NDArray[np.integer], class_names: Sequence[str]) -> Plot:
    """Draws a confusion matrix: colour is the share of the row, numbers are counts.

    Args:
        name: Of the split, for the title.
        counts: (C, C), rows are true classes.
        class_names: C names.
    """
    classes = len(class_names)
    share = row_shares(counts)
    with _axes(WIDTH, 5.2) as (figure, axes):
        axes.grid(False)
        axes.imshow(np.dstack([np.broadcast_to(SHADE, (classes, classes, 3)), share]))
        axes.set_xlabel("predicted class" if classes <= MAX_NAMED else "predicted class (index)")
        axes.set_ylabel("true class" if classes <= MAX_NAMED else "true class (index)")
        if classes <= MAX_NAMED:
            _write_counts(axes, counts, share)
            _name_classes(axes, [_shorten(word) for word in class_names])
        right, total = int(np.trace(counts)), int(counts.sum())
        alt = f"Confusion matrix of {name}, {classes} classes: {right} of {total} images on the"
        svg = _inline(figure, f"{alt} diagonal")
    return Plot(name, svg, note=f"{right:,} of {total:,} images on the diagonal")


def row_shares(counts: NDArray[np.integer]) -> Floats:
    """Divides each row of (C, C) counts by its sum; a row without images stays zero."""
    shares: Floats = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return shares


def _write_counts(axes: Any, counts: NDArray[np.integer], share: Floats) -> None:
    size = 10 if len(counts) <= 12 else 7
    for (row, column), count in np.ndenumerate(counts):
        full = share[row, column] > 0.5
        faint = 0.4 if count == 0 else 1.0
        colour = "white" if full else INK
        axes.text(
            column, row, str(count), color=colour, alpha=faint, fontsize=size,
            ha="center", va="center",
        )  # fmt: skip


def _name_classes(axes: Any, names: Sequence[str]) -> None:
    upright = len("".join(names)) <= 2 * MAX_NAMED  # digits and letters fit beside one another
    axes.set_xticks(range(len(names)), names, rotation=0 if upright else 90)
    axes.set_yticks(range(len(names)), names)


def _shorten(name: str) -> str:
    return name if len(name) <= NAME_LENGTH else f"{name[: NAME_LENGTH - 1]}…"


def embedding_plots(
    points: Floats, labels: NDArray[np.integer], domains: NDArray[np.str_], names: Sequence[str]
) -> tuple[Plot, Plot]:
    """Draws one map of features twice: coloured by domain, coloured by class.

    Args:
        points: (N, 2).
        labels: (N,), class indices.
        domains: (N,) of ``source`` and ``target``.
        names: Names of the classes.
    """
    tone = {"source": BLUE, "target": ORANGE}
    by_domain = np.array([tone[domain] for domain in domains])
    shapes = tuple(_shapes(domains))
    first = Plot(
        "Coloured by domain",
        _scatter(points, by_domain, domains, "domain"),
        tuple(Key(key.label, tone[key.label], key.mark) for key in shapes),
    )
    palette = _palette(len(names))
    legend = shapes
    note = f"{len(names)} classes: colours follow their order"
    if len(names) <= MAX_NAMED:
        legend += tuple(Key(name, palette[i], "square") for i, name in enumerate(names))
        note = ""
    by_class = np.array([palette[label] for label in labels])
    svg = _scatter(points, by_class, domains, "class")
    return first, Plot("Coloured by class", svg, legend, note)


def _shapes(domains: NDArray[np.str_]) -> Iterator[Key]:
    if "source" in domains:
        yield Key("source", "currentColor", "circle")
    if "target" in domains:
        yield Key("target", "currentColor", "cross")


def _scatter(
    points: Floats, colours: NDArray[np.str_], domains: NDArray[np.str_], by: str
) -> Markup:
    with _axes(WIDTH, 5.2) as (figure, axes):
        for key in _shapes(domains):
            chosen = domains == key.label
            axes.scatter(
                *points[chosen].T, c=colours[chosen], s=14, alpha=0.75, linewidths=0.9,
                marker="o" if key.mark == "circle" else "x", rasterized=True,
            )  # fmt: skip
        axes.set_xlabel("dimension 1 (no unit)")
        axes.set_ylabel("dimension 2 (no unit)")
        axes.grid(False)
        axes.set_xticks([])
        axes.set_yticks([])
        count = {key.label: int((domains == key.label).sum()) for key in _shapes(domains)}
        held = " and ".join(f"{number} {domain}" for domain, number in count.items())
        return _inline(figure, f"Two-dimensional map of {held} features, coloured by {by}")


def _palette(classes: int) -> list[str]:
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    if classes <= MAX_NAMED:
        chosen = colormaps["tab10" if classes <= 10 else "tab20"](np.arange(classes))
    else:
        chosen = colormaps["turbo"](np.linspace(0.05, 0.95, classes))
    return [to_hex(colour) for colour in chosen]


@contextmanager
def _axes(width: float, height: float) -> Iterator[tuple[Any, Any]]:
    """Gives a figure of inches and its axes, drawn in the style of the page."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(STYLE), warnings.catch_warnings():
        # The browser has fonts for scripts that matplotlib's own lacks.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure = Figure((width, height), layout="constrained")
        yield figure, figure.add_subplot()


def _inline(figure: Any, alt: str) -> Markup:
    """Returns the figure as an ``<svg>`` element for an HTML page, ``alt`` as its description."""
    buffer = io.StringIO()
    no_metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(buffer, format="svg", transparent=True, dpi=DPI, metadata=no_metadata)
    svg = buffer.getvalue()
    view_box = re.search(r'viewBox="([\d. ]+)"', svg)
    assert view_box is not None, "matplotlib wrote an SVG without viewBox"
    body = svg[svg.index(">", svg.index("<svg")) + 1 :]
    body = re.sub(r'<g id="[^"]*"', "<g", body)  # repeated from plot to plot; nothing refers to it
    body = body.replace(INK, "currentColor").replace("xlink:href", "href")
    tag = Markup('<svg role="img" aria-label="{}" viewBox="{}">').format(alt, view_box[1])
    return tag + Markup(body)
