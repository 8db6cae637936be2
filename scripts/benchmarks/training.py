"""tltool's own training, interleaved with hand-written loops."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.measure import Clock, Round, Time
from tltool.config.compose import resolve
from tltool.config.instantiate import instantiate
from tltool.data.readers import checked_reader
from tltool.run.build import Parts, build
from tltool.run.checkpoint import Checkpoint
from tltool.run.fit import fit
from tltool.run.folder import RunFolder
from tltool.run.history import History
from tltool.run.selection import Selection
from tltool.run.signals import Signals
from tltool.run.subject import evaluation_of

FORMATS = {True: "channels_last", False: "contiguous"}
Loop = Iterator[object]  # every `next` makes one step


def parts_of(overrides: Sequence[str]) -> Parts:
    """Builds a run's parts from what one types after `tltool train`."""
    config = resolve(overrides).config
    return build(config, checked_reader(config["dataset"]))


def train(parts: Parts, path: Path, history: type[History] = History, **options: Any) -> History:
    """Trains as `tltool train` does, into a folder; returns the history of the run."""
    folder = RunFolder(path)
    with Signals() as signals, folder.locked():
        loggers = instantiate(parts.config["logger"])
        rows = history(folder, loggers, parts.config, 0, **options)
        fit(
            parts,
            folder=folder,
            history=rows,
            signals=signals,
            checkpoint=Checkpoint(),
            selection=Selection("last"),
            evaluation=evaluation_of(parts),
            warn=lambda text: None,
            console=Console(quiet=True),
        )
    return rows


class Interleaved(History):
    """Lets a hand-written loop make as many steps as tltool just made, after every row it logs.

    A round is an epoch. tltool's time is what lies between two rows: steps, logging, writing
    metrics.csv, and the change of epoch. The start of the Trainer falls into the first round.

    Args:
        *args: See `History`.
        loop: The other side.
    """

    def __init__(self, *args: Any, loop: Loop) -> None:
        super().__init__(*args)
        self.loop = loop
        self.rounds: list[Round] = []
        self._step, self._clock = 0, Clock()

    def log(self, row: Mapping[str, float]) -> None:
        """Adds a row, then times the other side."""
        super().log(row)
        a = self._clock.lap()
        steps, self._step = int(row["step"]) - self._step, int(row["step"])
        for _ in range(steps):
            next(self.loop)
        b = self._clock.lap()
        if row["epoch"] > len(self.rounds):
            self.rounds.append(Round({"A": Time(), "B": Time()}, 0))
        self.rounds[-1].add({"A": a, "B": b}, steps)


def interleave(parts: Parts, path: Path, loop: Loop) -> list[Round]:
    """Trains, with the loop in between; returns the rounds but the first, which warms up."""
    history = train(parts, path, Interleaved, loop=loop)
    assert isinstance(history, Interleaved)
    return history.rounds[1:]
