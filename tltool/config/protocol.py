"""Protocols: published figures, and the runs that are held against them.

A protocol is a file conf/protocol/NAME.yaml. It is no option of a run: it describes several.
"""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tltool.config.kinds import convert
from tltool.config.paths import search_path
from tltool.config.signature import signature_of
from tltool.errors import UserError, did_you_mean

FOLDER = "protocol"


@dataclass(frozen=True)
class Run:
    """One run of a protocol, done once for every seed.

    Args:
        name: Of its folder, and how figures refer to it.
        overrides: As typed after `tltool train`.
    """

    name: str
    overrides: str = ""


@dataclass(frozen=True)
class Figure:
    """One figure to reach: the mean over the seeds of a metric, or of a difference of two runs.

    It is reached within ``tolerance`` of ``published``, or from ``at_least`` on.

    Args:
        of: Name of a run.
        metric: Of its results.json.
        minus: Name of a run whose metric is taken off, seed by seed.
        published: What the source states.
        tolerance: How far from ``published``, either way, still counts.
        at_least: The bar, where only falling short counts.
        differs: How the setting differs from that of ``published``; nothing if it is the same.
    """

    of: str
    metric: str
    minus: str | None = None
    published: float | None = None
    tolerance: float | None = None
    at_least: float | None = None
    differs: str | None = None

    @property
    def name(self) -> str:
        """What it is called in a table."""
        return self.of if self.minus is None else f"{self.of} - {self.minus}"


@dataclass(frozen=True)
class Protocol:
    """What to run, and what is published.

    Args:
        title: One line.
        source: Paper and table, or what else the figures come from.
        runs: Runs.
        figures: What they are held against.
        seeds: Each run is done with each.
        overrides: What all runs share, as typed after `tltool train`.
        needs: Keys that only the user can give, and what to type for them.
        name: Of the file.
    """

    title: str
    source: str
    runs: tuple[Run, ...]
    figures: tuple[Figure, ...]
    seeds: tuple[int, ...] = (0,)
    overrides: str = ""
    needs: Mapping[str, str] = field(default_factory=dict)
    name: str = ""

    def arguments(self, run: Run) -> list[str]:
        """Returns the overrides of a run, seed and needs left out."""
        return [*shlex.split(self.overrides), *shlex.split(run.overrides)]


def protocol_files(config_dirs: Sequence[str | Path] = ()) -> dict[str, Path]:
    """Maps the names of all protocols, sorted, to their files."""
    found: dict[str, Path] = {}
    for folder in search_path(config_dirs):
        for path in (folder / FOLDER).glob("*.yaml"):
            found.setdefault(path.stem, path)
    return dict(sorted(found.items()))


def load_protocol(name: str, config_dirs: Sequence[str | Path] = ()) -> Protocol:
    """Reads a protocol.

    Raises:
        UserError: There is none of that name, or everything that is wrong with it.
    """
    files = protocol_files(config_dirs)
    if name not in files:
        known = ", ".join(files) or "there are none"
        raise UserError(f"{name}: no such protocol{did_you_mean(name, files)} ({known})")
    path = files[name]
    try:
        node = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read: {' '.join(str(error).split())}") from error
    return parse_protocol(node, name, str(path))


def parse_protocol(node: Any, name: str, where: str) -> Protocol:
    """Checks what a file says.

    Args:
        node: As YAML gives it.
        name: Of the protocol.
        where: For messages.

    Raises:
        UserError: Everything that is wrong, one line each.
    """
    problems: list[str] = []
    values = _values(Protocol, node, "", problems)
    values["runs"] = _items(Run, values.get("runs"), "runs", problems)
    values["figures"] = _items(Figure, values.get("figures"), "figures", problems)
    if not problems:
        protocol = Protocol(**{**values, "name": name})
        problems = _inconsistencies(protocol)
    if problems:
        raise UserError(*(f"{where}: {problem}" for problem in problems))
    return protocol


def _items(kind: type[Any], nodes: Any, where: str, problems: list[str]) -> tuple[Any, ...]:
    """Returns the items of a list; an item that is not right is left out, and a problem."""
    found = []
    for number, node in enumerate(nodes or ()):
        count = len(problems)
        values = _values(kind, node, f"{where}[{number}]", problems)
        if len(problems) == count:
            found.append(kind(**values))
    if nodes == []:
        problems.append(f"{where}: at least one wanted")
    return tuple(found)


def _values(kind: type[Any], node: Any, where: str, problems: list[str]) -> dict[str, Any]:
    """Returns the keyword arguments of a dataclass that a mapping holds, checked."""
    known = {one.name: one for one in signature_of(f"{__name__}.{kind.__name__}").parameters}
    if kind is Protocol:
        del known["name"]  # the file's
    place = f"{where}." if where else ""
    if not isinstance(node, dict):
        problems.append(f"{where or 'the file'}: keys wanted ({', '.join(known)})")
        return {}
    values = {}
    for key, value in node.items():
        if key not in known:
            problems.append(f"{place}{key}: no such key{did_you_mean(str(key), known)}")
            continue
        try:
            held = convert(known[key].kind, value)
            values[str(key)] = tuple(held) if isinstance(held, list) else held
        except ValueError as error:
            problems.append(f"{place}{key}={value}: {error}")
    missing = [key for key, one in known.items() if one.required and key not in node]
    problems += [f"{place}{key} is required" for key in missing]
    return values


def _inconsistencies(protocol: Protocol) -> list[str]:
    """Returns what each part allows and the whole does not."""
    problems = []
    names = [run.name for run in protocol.runs]
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    problems += [f"runs: '{name}' twice" for name in twice]
    if not protocol.seeds or len(set(protocol.seeds)) < len(protocol.seeds):
        problems.append("seeds: at least one wanted, none twice")
    for number, figure in enumerate(protocol.figures):
        where = f"figures[{number}]"
        for key, run in (("of", figure.of), ("minus", figure.minus)):
            if run is not None and run not in names:
                hint = did_you_mean(run, names)
                problems.append(f"{where}.{key}={run}: no such run{hint} ({', '.join(names)})")
        if (figure.tolerance is None) == (figure.at_least is None):
            problems.append(f"{where}: either tolerance or at_least wanted")
        if figure.tolerance is not None and figure.published is None:
            problems.append(f"{where}: tolerance is around published, which is missing")
    for where, text in [("overrides", protocol.overrides)] + [
        (f"runs[{number}].overrides", run.overrides) for number, run in enumerate(protocol.runs)
    ]:
        try:
            shlex.split(text)
        except ValueError as error:
            problems.append(f"{where}: {error}")
    return problems
