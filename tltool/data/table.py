"""All examples of a run, and which of them belong to which domain and split."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

GROUP = "group"  # the column that names the protected group
DOMAIN = "domain"  # the column that tells several sources apart; -1 for the target
TASK = "task:"  # what the name of a column with a further task's labels begins with


class Inputs(Protocol):
    """Inputs of N examples: a tensor, or what gives a batch of them as a dict of tensors."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: Tensor, /) -> Any: ...


@dataclass(frozen=True)
class Column:
    """Something that is known of every example beside its label.

    Args:
        values: ``(N,)``, int64; -1 where it is not known.
        names: What each value stands for.
    """

    values: Tensor
    names: tuple[str, ...]


@dataclass(frozen=True)
class Scale:
    """What labels that are numbers were before they were standardised.

    Args:
        mean: Of the source's training labels.
        std: Their standard deviation, above 0.
    """

    mean: float
    std: float

    def restore(self, y: Tensor) -> NDArray[np.float64]:
        """Returns standardised labels in their own unit."""
        values: NDArray[np.float64] = y.double().cpu().numpy() * self.std + self.mean
        return values


@dataclass(frozen=True)
class Contexts:
    """How the examples are parted into contexts that are learned one after the other.

    Args:
        of: Number of each example's context ``(N,)``, int64.
        classes: Which classes are possible in each context ``(T, C)``, bool.
        scenario: ``task`` (the context is known), ``domain`` (the classes are the same in each)
            or ``class`` (the context is to be told too).
        names: What each context is called.
    """

    of: Tensor
    classes: Tensor
    scenario: str
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.classes)


@dataclass(frozen=True)
class Table:
    """Examples by row number.

    Args:
        x: Inputs of N examples: uint8 images ``(N, C, H, W)``, features ``(N, D)``, or texts.
        y: Labels ``(N,)``, int64; -1 where there is none, and C, the number of classes, where a
            target example is of a class that the source lacks. Or numbers, float32 and
            standardised; NaN where there is none.
        rows: Row numbers of each (domain, split), such as ``("target", "test")``.
        class_names: Names in the order of the labels; none where those are numbers.
        columns: ``group``; ``domain``, where there are several sources; and ``task:NAME`` for the
            labels of further tasks.
        contexts: Where the examples are learned in contexts.
        known: Rows of the target's training split whose labels are learned from.
        scale: Of labels that are numbers.
    """

    x: Inputs
    y: Tensor
    rows: Mapping[tuple[str, str], NDArray[np.int64]]
    class_names: tuple[str, ...]
    columns: Mapping[str, Column] = field(default_factory=dict)
    contexts: Contexts | None = None
    known: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    scale: Scale | None = None

    @property
    def tasks(self) -> dict[str, Column]:
        """The labels of every task, by its name."""
        return {
            name.removeprefix(TASK): column
            for name, column in self.columns.items()
            if name.startswith(TASK)
        }

    def take(self, rows: NDArray[np.int64]) -> tuple[Any, Tensor]:
        """Returns inputs and labels of some rows."""
        index = torch.from_numpy(rows)
        return self.x[index], self.y[index]

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the sources; ``source`` where there is a single one."""
        return self.columns[DOMAIN].names if DOMAIN in self.columns else ("source",)

    def by_source(self, rows: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
        """Parts rows by the source that they are of, in the order of the sources.

        All of them together, as ``source``, where there is a single one, or where some row is of
        no source.
        """
        of = self.columns[DOMAIN].values.numpy()[rows] if DOMAIN in self.columns else rows
        if DOMAIN not in self.columns or (of < 0).any():
            return {"source": rows}
        return {name: rows[of == i] for i, name in enumerate(self.sources) if (of == i).any()}

    def labelled(self, domain: str, split: str) -> NDArray[np.int64]:
        """Returns the rows of a (domain, split) that have a label; empty where there are none."""
        rows = self.rows.get((domain, split), np.empty(0, np.int64))
        y = self.y.numpy()[rows]
        return rows[~np.isnan(y) if self.y.is_floating_point() else y >= 0]

    def lessons(self, domain: str) -> NDArray[np.int64]:
        """Returns the training rows whose labels are learned from in a domain's name.

        The `known` rows of the target are among the source's, rows of either being repeated so
        that about half are the target's. A class that the source lacks is never learned.
        """
        rows = self.labelled(domain, "train")
        if not self.y.is_floating_point():
            rows = rows[self.y.numpy()[rows] < len(self.class_names)]
        if domain != "source" or len(self.known) == 0 or len(rows) == 0:
            return rows
        ratio = len(rows) / len(self.known)
        more, fewer = max(1, round(ratio)), max(1, round(1 / ratio))
        return np.concatenate([np.tile(rows, fewer), np.tile(self.known, more)])
