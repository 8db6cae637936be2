"""Times two ways to do the same work side by side, in short alternating rounds."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Kind = Literal["cpu", "wall"]


@dataclass(frozen=True)
class Settings:
    """How to measure.

    Args:
        quick: Few rounds, only to see that everything works.
        folder: For whatever a benchmark writes.
        say: Shows one line of progress.
    """

    quick: bool
    folder: Path
    say: Callable[[str], None]


@dataclass(frozen=True)
class Time:
    """A stretch of time, in seconds.

    Args:
        cpu: Of all threads of this process; what else the machine does hardly changes it.
        wall: By the clock.
    """

    cpu: float = 0.0
    wall: float = 0.0

    def __add__(self, other: "Time") -> "Time":
        return Time(self.cpu + other.cpu, self.wall + other.wall)

    def of(self, kind: Kind) -> float:
        """Returns one of the two."""
        return self.cpu if kind == "cpu" else self.wall


class Clock:
    """A stop watch."""

    def __init__(self) -> None:
        self.lap()

    def lap(self) -> Time:
        """Returns the time since the last call, or since it was made."""
        last = getattr(self, "_last", Time())
        self._last = now = Time(time.process_time(), time.perf_counter())
        return Time(now.cpu - last.cpu, now.wall - last.wall)


def timed(work: Callable[[], object]) -> Time:
    """Returns how long ``work`` takes."""
    clock = Clock()
    work()
    return clock.lap()


@dataclass
class Round:
    """The same work done by A and by B directly after each other.

    Args:
        times: Of each side.
        steps: How many steps each of them made.
    """

    times: dict[str, Time]
    steps: int = 1

    def add(self, times: Mapping[str, Time], steps: int) -> None:
        """Makes the round longer."""
        self.times = {side: self.times[side] + times[side] for side in self.times}
        self.steps += steps

    def ratio(self, kind: Kind) -> float:
        """Returns A's time over B's."""
        return self.times["A"].of(kind) / self.times["B"].of(kind)


def alternate(a: Callable[[], object], b: Callable[[], object], rounds: int) -> list[Round]:
    """Does A and B in turn; the first round warms up and is left out."""
    return [Round({"A": timed(a), "B": timed(b)}) for _ in range(1 + rounds)][1:]


@dataclass(frozen=True)
class Result:
    """What one benchmark found.

    Args:
        name: Of the benchmark, and of the case.
        a: What A is.
        b: What B is.
        judged: What is compared with the target, in words.
        value: It.
        target: What it must reach, in words.
        passed: Whether it does.
        spread: Smallest and largest value of a round.
        notes: Further lines for a reader.
        rounds: Every single one.
        figures: Further figures.
    """

    name: str
    a: str
    b: str
    judged: str
    value: float
    target: str
    passed: bool
    spread: tuple[float, float]
    notes: Sequence[str] = ()
    rounds: Sequence[Round] = ()
    figures: Mapping[str, Any] = field(default_factory=dict)


def median_ratio(rounds: Sequence[Round], kind: Kind) -> float:
    """Returns the median of the rounds' ratios A / B."""
    return statistics.median(one.ratio(kind) for one in rounds)


def spread(rounds: Sequence[Round], kind: Kind) -> tuple[float, float]:
    """Returns the smallest and the largest of the rounds' ratios A / B."""
    ratios = [one.ratio(kind) for one in rounds]
    return min(ratios), max(ratios)


def step_ms(rounds: Sequence[Round], side: str, kind: Kind) -> float:
    """Returns the median time of a step, in milliseconds."""
    return statistics.median(1000 * one.times[side].of(kind) / one.steps for one in rounds)


def wall_s(rounds: Sequence[Round], side: str) -> float:
    """Returns the median wall time of a round, in seconds."""
    return statistics.median(one.times[side].wall for one in rounds)
