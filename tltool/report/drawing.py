"""How a plot is drawn: inline SVG, no font, script or address outside, colours of the page's theme.

Words that come from data stay out of the SVG where they can (legends are HTML and wrap on a
phone); the names beside a matrix are the exception.
"""

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from markupsafe import Markup

INK = "#0a0b0c"  # stands for the text colour of the page until `inline` replaces it
SHADE = (63 / 255, 130 / 255, 214 / 255)  # colour of a full cell in a matrix; the page's --shade
BLUE, ORANGE = "#3f82d6", "#e07b00"
LINES = (BLUE, ORANGE, "#2a9d5c", "#c8456b", "#8e6cc9", "#1f9aa5", "#a3762c", "#7a828c")
GREY = LINES[-1]
MAX_NAMED = 20  # classes: beyond that, neither counts nor names can be read in a plot
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


@contextmanager
def axes_of(width: float, height: float) -> Iterator[tuple[Any, Any]]:
    """Gives a figure of inches and its axes, drawn in the style of the page."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(STYLE), warnings.catch_warnings():
        # The browser has fonts for scripts that matplotlib's own lacks.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure = Figure((width, height), layout="constrained")
        yield figure, figure.add_subplot()


def inline(figure: Any, alt: str) -> Markup:
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
