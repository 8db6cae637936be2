"""Where the examples of each domain lie, and what a source is called where there are several."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Place:
    """A file or a folder of one domain.

    Args:
        domain: ``source`` or ``target``.
        name: Of a source among several; empty for the target, and for a single source.
        path: Of the file or folder.
    """

    domain: str
    name: str
    path: Path

    @property
    def key(self) -> str:
        """The domain, and the name where it has one: ``source/NAME``."""
        return f"{self.domain}/{self.name}" if self.name else self.domain


def listed(value: str | Sequence[str] | None) -> list[str]:
    """Returns what was typed as a list: one item, several, or none."""
    items = [value] if isinstance(value, str) else list(value or ())
    return [item for item in items if item]


def places(source: str | Sequence[str], target: str | None) -> list[Place]:
    """Returns the sources in their order, then the target.

    A single source has no name, whether or not it was typed as a list.
    """
    sources = [Path(item).expanduser() for item in listed(source)]
    names = tails(sources) if len(sources) > 1 else [""] * len(sources)
    found = [Place("source", *pair) for pair in zip(names, sources, strict=True)]
    return found + [Place("target", "", Path(item).expanduser()) for item in listed(target)]


def tails(paths: Sequence[Path]) -> list[str]:
    """Returns the last part of each path, and as many before it as make all of them differ."""
    parts = [Path(os.path.abspath(path)).parts for path in paths]
    found = [""] * len(paths)
    for length in range(1, max(map(len, parts)) + 1):
        found = ["/".join(one[-length:]) for one in parts]
        if len(set(found)) == len(found):
            break
    return found


def twice(found: Sequence[Place]) -> list[str]:
    """Returns a line for each place that is given as two of several domains."""
    named = [place for place in found if place.name]
    seen: dict[str, Place] = {}
    problems = []
    for place in found if named else ():
        before = seen.setdefault(os.path.abspath(place.path), place)
        if before is not place:
            also = "twice" if place.name else "and dataset.target too"
            problems.append(f"dataset.source names {before.path} {also}: leave one of them out")
    return problems
