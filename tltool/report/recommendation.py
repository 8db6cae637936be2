"""What `tltool recommend` prints."""

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from tltool.evaluation.advice import LARGE_PER_CLASS, SIMILAR
from tltool.report.tables import Plainable
from tltool.report.wording import NO_VALUE, interval, percent

# Score -> heading.
SCORES = {"knn": "kNN", "log_me": "LogME", "h_score": "H-score", "leep": "LEEP", "nce": "NCE"}
NOTE = (
    "on training examples, none trained on; higher is better; kNN: accuracy, each example left "
    "out in turn; LEEP and NCE: of the old classifier"
)


def recommendation_text(report: Mapping[str, Any]) -> RenderableType:
    """Builds the data's size, each backbone's scores beside random weights, and the advice.

    Args:
        report: As `tltool.run.recommend.recommend` returns it.
    """
    lines = []
    for name, value in _facts(report):
        command = name == "next"  # a line that the terminal breaks can be copied whole
        line = Text(f"{name:<13}", "dim", no_wrap=command, overflow="ignore" if command else None)
        lines.append(line.append(value, "bold not dim" if command else "not dim"))
    return Group(Text(_data(report["dataset"])), Text(), Plainable(_scores(report)), Text(), *lines)


def _data(dataset: Mapping[str, Any]) -> str:
    counts = dataset["per_class"]
    spread = f"{counts['min']:,} to {counts['max']:,}, median {counts['median']:,.0f}"
    line = (
        f"{dataset['name']}: {dataset['train']:,} labelled training examples of "
        f"{dataset['classes']:,} classes, {spread} a class"
    )
    if dataset["target_train"]:
        line += f"; {dataset['target_train']:,} target examples to adapt to"
    return line


def _scores(report: Mapping[str, Any]) -> Table:
    table = Table("backbone", "weights")
    for heading in ("features", *SCORES.values()):
        table.add_column(heading, justify="right")
    for row in report["backbones"]:
        if row["pretrained"] is not None:
            table.add_row(Text(row["backbone"]), Text(row["weights"]), *_figures(row, "pretrained"))
        table.add_row(
            Text(f"{row['backbone']} from scratch"), "random", *_figures(row, "from_scratch")
        )
    return table


def _figures(row: Mapping[str, Any], weights: str) -> list[str]:
    figures = row[weights]
    words = [NO_VALUE if (value := figures[key]) is None else f"{value:.3f}" for key in SCORES]
    return [f"{row['features']:,}", percent(figures["knn"]), *words[1:]]


def _facts(report: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    dataset, advice = report["dataset"], report["recommendation"]
    part = f"{dataset['scored']:,} of {dataset['train']:,}, drawn with seed {dataset['seed']}, "
    yield "scores", (part if dataset["scored"] < dataset["train"] else "") + NOTE
    for name, reason in report["left_out"].items():
        yield "left out", f"{name}: {reason}"
    yield "size", _size(dataset, advice)
    yield "similarity", _similarity_sentence(dataset, advice["similarity"])
    yield "rule", f"{advice['rule']}: {advice['reason']}"
    yield "recommended", f"{advice['strategy']} on {advice['backbone']}"
    if advice["alternatives"]:
        yield "compare with", ", ".join(advice["alternatives"])
    yield "next", shlex.join(advice["command"])
    yield "time", f"{report['seconds']:.1f} s"


def _size(dataset: Mapping[str, Any], advice: Mapping[str, Any]) -> str:
    word = "large" if advice["large"] else "small"
    median = dataset["per_class"]["median"]
    return f"{word}: {median:,.0f} examples in the median class; large from {LARGE_PER_CLASS:,}"


def _similarity_sentence(dataset: Mapping[str, Any], similarity: Mapping[str, Any]) -> str:
    if not similarity["pretrained"]:
        return "not measured: there are no pretrained weights"
    between = interval({**similarity, "metric": "accuracy"})
    return (
        f"{'similar' if similarity['similar'] else 'distant'}: kNN is right on "
        f"{percent(similarity['knn'])} with pretrained features, {percent(similarity['scratch'])} "
        f"with random weights ({between} points between them), "
        f"{percent(dataset['majority'])} by the largest class alone: pretraining takes away "
        f"{percent(similarity['errors_removed'])} of the errors; similar from {percent(SIMILAR)}"
    )
