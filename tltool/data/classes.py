"""Which classes source and target have, which of them are kept, and how they are numbered."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tltool.data.cache import Arrays
from tltool.data.readers.base import ONLY_IN_TARGET, nothing_in_common
from tltool.errors import UserError, did_you_mean

Names = Sequence[str | int]  # a class called 3 is typed 3


@dataclass(frozen=True)
class LabelSets:
    """How the classes of source and target differ; for reporting, never for a strategy.

    Args:
        classes: How many the source has, C.
        missing_in_target: Names of those that no labelled target example is of.
        only_in_target: Names of those that the source lacks.
        unlabelled: Target examples without a label: what they are of is not known.
    """

    classes: int
    missing_in_target: list[str]
    only_in_target: list[str]
    unlabelled: int


@dataclass(frozen=True)
class Classes:
    """The classes of a run.

    Args:
        names: C names, all of the source.
        labels: (N,) of int64: 0 to C - 1; C where a target example is of a class that the source
            lacks; -1 where there is no label, or the example is left out. Numbers are as they were.
        kept: (N,) of bool, False where an example is of a class that is left out.
        sets: None where no target example has a label.
    """

    names: tuple[str, ...]
    labels: npt.NDArray[Any]
    kept: npt.NDArray[np.bool_]
    sets: LabelSets | None


def classes_of(
    arrays: Arrays, source_classes: Names | None = None, target_classes: Names | None = None
) -> Classes:
    """Returns the classes of a run: the source's, in their order.

    Args:
        arrays: As they were read.
        source_classes: Keep only the source's examples of these; all by default.
        target_classes: Keep only the target's examples of these, and none without a label.

    Raises:
        UserError: There is no such class, or what is kept cannot be learned from.
    """
    if arrays.labels.dtype.kind == "f":
        return Classes((), arrays.labels, np.ones(len(arrays.labels), np.bool_), None)
    column, strangers = arrays.columns.get(ONLY_IN_TARGET, (np.full(len(arrays.labels), -1), ()))
    known = [*arrays.class_names, *strangers]
    every = np.where(column >= 0, len(arrays.class_names) + column, arrays.labels)
    target = arrays.domains == "target"
    options = {"source_classes": source_classes, "target_classes": target_classes}
    wanted = {
        key: _numbers(key, names, known if key == "target_classes" else arrays.class_names)
        for key, names in options.items()
        if names is not None
    }
    kept = np.ones(len(every), dtype=np.bool_)
    for key, here in (("source_classes", ~target), ("target_classes", target)):
        if key in wanted:
            kept &= ~here | np.isin(every, wanted[key])
    classes = np.array(wanted.get("source_classes", range(len(arrays.class_names))), dtype=np.int64)
    names = tuple(known[number] for number in classes)
    number_of = np.full(len(known) + 1, len(classes))
    number_of[classes] = np.arange(len(classes))
    number_of[-1] = -1  # where there is no label
    sets = _sets(every[target & kept], known, classes)
    if wanted and sets and (problem := nothing_in_common(names, _of(sets, names))):
        raise UserError(f"dataset.{' dataset.'.join(wanted)}: {problem}")
    return Classes(names, np.where(kept, number_of[every], -1), kept, sets)


def _numbers(key: str, names: Names, known: Sequence[str]) -> list[int]:
    """Returns which of the classes are named, in their order.

    Raises:
        UserError: One line for each that there is none of; or too few are named.
    """
    texts = [str(name) for name in names]
    typed = f"dataset.{key}=[{','.join(texts)}]"
    problems = [
        f"{typed}: no class {text}{did_you_mean(text, known)}; there are {', '.join(known)}"
        for text in texts
        if text not in known
    ]
    least = 2 if key == "source_classes" else 1
    if not problems and len(set(texts)) < least:
        problems = [f"{typed}: {'two classes or more' if least == 2 else 'a class'} wanted"]
    if problems:
        raise UserError(*problems)
    return [number for number, name in enumerate(known) if name in texts]


def _sets(
    labels: npt.NDArray[np.int64], known: Sequence[str], classes: npt.NDArray[np.int64]
) -> LabelSets | None:
    found = set(np.unique(labels).tolist()) - {-1}
    if not found:
        return None
    source = set(classes.tolist())
    return LabelSets(
        len(classes),
        [known[number] for number in classes if number not in found],
        [known[number] for number in sorted(found - source)],
        int((labels < 0).sum()),
    )


def _of(sets: LabelSets, source: Sequence[str]) -> list[str]:
    """Returns the names of the target's classes."""
    return [*(name for name in source if name not in sets.missing_in_target), *sets.only_in_target]
