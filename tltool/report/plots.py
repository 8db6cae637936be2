"""Curves over training, and maps of features."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from tltool.report.drawing import (
    BLUE,
    GREY,
    INK,
    LINES,
    MAX_NAMED,
    ORANGE,
    WIDTH,
    Key,
    Plot,
    axes_of,
    inline,
)
from tltool.report.history import Floats, Row, series, series_names

VALIDATOR = "validator/"  # what the name of a validator's column begins with


def learning_plots(history: Sequence[Row]) -> list[Plot]:
    """Draws losses, accuracies, signs of adaptation and learning rate, those that are there."""
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
    if r2 := groups.get("r2"):
        plots.append(_curves("R²", "R² (1 is exact)", r2))
    if errors := groups.get("error"):
        plots.append(_curves("Error", "mean absolute error (standard deviations)", errors))
    if discriminator := groups.get("discriminator"):
        title, axis = "Discriminator accuracy", "source or target told right (%)"
        plots.append(_curves(title, axis, _in_percent(discriminator), chance=50.0))
    for name, drawn in groups.get("validator", {}).items():
        label = f"Validator {name.removeprefix(VALIDATOR)}"
        plots.append(_curves(label, "score (higher is better)", {name: drawn}))
    if classes := groups.get("classes"):
        title = "Classes predicted on the target"
        plots.append(_curves(title, "effective number of classes", classes))
    if rates := groups.get("rate"):
        plots.append(_curves("Learning rate", "learning rate (no unit)", rates))
    return plots


def _group(name: str) -> str:
    last = name.rpartition("/")[2]
    if last == "domain_accuracy":
        return "discriminator"
    if name.startswith(VALIDATOR):
        return "validator"
    if last == "predicted_classes":
        return "classes"
    if "accuracy" in last:
        return "accuracy"
    if last in ("r2", "error"):
        return last
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
    with axes_of(WIDTH, 3.4) as (figure, axes):
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
        svg = inline(figure, f"{title} over training: {'; '.join(ends)}")
    return Plot(title, svg, tuple(keys))


def estimates_plot(name: str, labels: Floats, predicted: Floats) -> Plot:
    """Draws predicted numbers over true ones; exact ones lie on the diagonal.

    Args:
        name: Of the split, for the title.
        labels: (N,).
        predicted: (N,).
    """
    both = np.concatenate([labels, predicted])
    ends = [float(both.min()), float(both.max())]
    with axes_of(WIDTH, 5.2) as (figure, axes):
        axes.plot(ends, ends, color=INK, linewidth=1, linestyle="--", alpha=0.6)
        axes.scatter(labels, predicted, c=BLUE, s=14, alpha=0.6, linewidths=0, rasterized=True)
        axes.set_xlabel("true label")
        axes.set_ylabel("predicted label")
        error = float(np.abs(predicted - labels).mean())
        svg = inline(
            figure,
            f"Predicted over true labels of {len(labels)} examples of {name}, "
            f"mean absolute error {error:.4g}",
        )
    return Plot(name, svg, (Key("exact", "currentColor", "dash"),), f"{len(labels):,} examples")


def embedding_plots(
    points: Floats,
    labels: NDArray[np.integer] | NDArray[np.floating],
    domains: NDArray[np.str_],
    names: Sequence[str],
) -> tuple[Plot, Plot]:
    """Draws one map of features twice: coloured by domain, coloured by class or by number.

    Args:
        points: (N, 2).
        labels: (N,), class indices; grey where they are of no class, as -1. Or numbers, or NaN.
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
    if labels.dtype.kind == "f":
        colours, note = _by_number(labels.astype(float))
        svg = _scatter(points, colours, domains, "label")
        return first, Plot("Coloured by label", svg, shapes, note)
    palette = _palette(len(names))
    legend = shapes
    note = f"{len(names)} classes: colours follow their order"
    if len(names) <= MAX_NAMED:
        legend += tuple(Key(name, palette[i], "square") for i, name in enumerate(names))
        note = ""
        if ((labels < 0) | (labels >= len(names))).any():
            legend += (Key("no label", GREY, "square"),)
    by_class = np.array([palette[i] if 0 <= i < len(names) else GREY for i in labels])
    svg = _scatter(points, by_class, domains, "class")
    return first, Plot("Coloured by class", svg, legend, note)


def _by_number(values: Floats) -> tuple[NDArray[np.str_], str]:
    """Returns a colour for each number, grey for NaN, and what the colours mean."""
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    known = values[~np.isnan(values)]
    low, high = (known.min(), known.max()) if len(known) else (0.0, 0.0)
    shares = (values - low) / max(high - low, np.finfo(float).tiny)
    colours = [GREY if np.isnan(s) else to_hex(colormaps["viridis"](s)) for s in shares]
    return np.array(colours), f"from {low:.4g} (dark) to {high:.4g} (light), grey where unknown"


def _shapes(domains: NDArray[np.str_]) -> Iterator[Key]:
    if "source" in domains:
        yield Key("source", "currentColor", "circle")
    if "target" in domains:
        yield Key("target", "currentColor", "cross")


def _scatter(
    points: Floats, colours: NDArray[np.str_], domains: NDArray[np.str_], by: str
) -> Markup:
    with axes_of(WIDTH, 5.2) as (figure, axes):
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
        return inline(figure, f"Two-dimensional map of {held} features, coloured by {by}")


def _palette(classes: int) -> list[str]:
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    if classes <= MAX_NAMED:
        chosen = colormaps["tab10" if classes <= 10 else "tab20"](np.arange(classes))
    else:
        chosen = colormaps["turbo"](np.linspace(0.05, 0.95, classes))
    return [to_hex(colour) for colour in chosen]
