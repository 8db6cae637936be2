"""(c) A linear probe on cached features against computing them in every step."""

import os
import shutil
import statistics
from pathlib import Path

from benchmarks.images import write_photographs
from benchmarks.measure import Result, Round, Settings, Time, median_ratio, spread, timed
from benchmarks.training import parts_of, train

NAME = "features"
LEAST = 8.0
IMAGES_PER_CLASS = 80  # 400 images, 320 of them for training
ROUNDS = 3


def run(settings: Settings) -> list[Result]:
    """Measures 20 epochs of EfficientNet-Lite0 at 64 px, each round with a cache of its own."""
    photographs = write_photographs(settings.folder / NAME, IMAGES_PER_CLASS, 128)
    typed = [
        *("strategy=linear_probe", "backbone=efficientnet_lite0", "backbone.size=64"),
        *("dataset=image_folder", f"dataset.source={photographs}", "hardware=cpu"),
        f"epochs={2 if settings.quick else 20}",
    ]
    rounds = []
    for number in range(1 if settings.quick else ROUNDS):
        settings.say(f"{NAME}: round {number + 1}")
        shutil.rmtree(Path(os.environ["TLTOOL_CACHE"]) / "features", ignore_errors=True)
        folder = settings.folder / f"{NAME}-{number}"
        times = {"A": probe([*typed, "strategy.cache=false"], folder / "recomputed")}
        times["B"] = probe(typed, folder / "cold")
        times["warm"] = probe(typed, folder / "warm")
        rounds.append(Round(times))
    ratio = median_ratio(rounds, "cpu")
    warm = statistics.median(one.times["A"].cpu / one.times["warm"].cpu for one in rounds)
    return [
        Result(
            name=f"{NAME}: efficientnet_lite0 64 px",
            a="tltool train strategy=linear_probe strategy.cache=false, 20 epochs, 320 images",
            b="the same with cached features, the cache empty at first",
            judged="CPU time of the training, A / B",
            value=ratio,
            target=f">= {LEAST:.0f}",
            passed=ratio >= LEAST,
            spread=spread(rounds, "cpu"),
            notes=[
                f"with the features already cached: {warm:.1f}; wall ratio "
                f"{median_ratio(rounds, 'wall'):.1f}; the Trainer's start counts on both sides, "
                "decoding on neither",
            ],
            rounds=rounds,
            figures={"warm_ratio": warm},
        )
    ]


def probe(overrides: list[str], folder: Path) -> Time:
    """Returns how long training takes, from features to the last step."""
    parts = parts_of(overrides)
    return timed(lambda: train(parts, folder))
