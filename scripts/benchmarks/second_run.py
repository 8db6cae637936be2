"""(d) How soon a run starts to train when an earlier one has decoded the same images."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest.mock import patch

from benchmarks.images import write_photographs
from benchmarks.measure import Clock, Result, Round, Settings, Time, median_ratio, spread, wall_s
from benchmarks.training import parts_of, train
from tltool.run.folder import RunFolder
from tltool.run.history import History
from tltool.run.record import Record

NAME = "second-run"
IMAGES_PER_CLASS = 200  # 1 000 images
SIDE = 384  # pixels
ROUNDS = 3


def run(settings: Settings) -> list[Result]:
    """Measures the first and the second run on the same photographs."""
    photographs = write_photographs(settings.folder / NAME, IMAGES_PER_CLASS, SIDE)
    rounds, decoded_before = [], []
    for number in range(1 + (1 if settings.quick else ROUNDS)):
        settings.say(f"{NAME}: round {number}")
        folder = settings.folder / f"{NAME}-{number}"
        with patch.dict(os.environ, TLTOOL_CACHE=str(folder / "cache")):
            first, before_first = start(photographs, folder / "first")
            second, before_second = start(photographs, folder / "second")
        rounds.append(Round({"A": first, "B": second}))
        decoded_before.append((before_first, before_second))
    rounds = rounds[1:]  # the first one also imports modules
    return [
        Result(
            name=f"{NAME}: lenet, 1 000 JPEG files",
            a="tltool train, nothing decoded yet: from the configuration to the first step",
            b="the same again",
            judged="wall time to the first step, A / B",
            value=median_ratio(rounds, "wall"),
            target="record.json: decoded_before",
            passed=all(before == (False, True) for before in decoded_before),
            spread=spread(rounds, "wall"),
            notes=[
                f"{wall_s(rounds, 'A'):.2f} s, then {wall_s(rounds, 'B'):.2f} s; imports are left "
                "out; decoded_before is false in each first record and true in each second one"
            ],
            rounds=rounds,
            figures={"decoded_before": decoded_before},
        )
    ]


class FirstRow(History):
    """Notes when the first step was logged."""

    def __init__(self, *args: Any, clock: Clock) -> None:
        super().__init__(*args)
        self.clock = clock

    def log(self, row: Mapping[str, float]) -> None:
        """Adds a row."""
        super().log(row)
        self.time = self.clock.lap()


def start(photographs: Path, folder: Path) -> tuple[Time, bool]:
    """Trains one step; returns the time until then, and what the record says of decoding."""
    clock = Clock()
    parts = parts_of(
        [
            *("strategy=source_only", "dataset=image_folder", f"dataset.source={photographs}"),
            *("steps=1", "log_every=1", "hardware=cpu"),
        ]
    )
    history = train(parts, folder, FirstRow, clock=clock)
    assert isinstance(history, FirstRow)
    Record(RunFolder(folder), ["bench"]).add_parts(parts)
    record = json.loads((folder / "record.json").read_text())
    return history.time, record["dataset"]["decoded_before"]
