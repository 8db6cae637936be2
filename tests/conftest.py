"""Small data and a short way to run the real thing, for every test that trains."""

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from jaxtyping import install_import_hook
from PIL import Image
from rich.console import Console

# Shapes written in annotations are checked in every test, in no run of a user.
install_import_hook(["tltool.losses"], "beartype.beartype")


@dataclass(frozen=True)
class Domains:
    source: Path
    target: Path

    def overrides(self) -> list[str]:
        return [
            "dataset=image_folder",
            f"dataset.source={self.source}",
            f"dataset.target={self.target}",
        ]


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Small tensors are faster on one thread, and tests may run beside each other."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def cache_root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keeps all tests, and what they share, away from the user's cache."""
    folder = tmp_path_factory.getbasetemp() / "cache"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TLTOOL_CACHE", str(folder))
        yield folder


@pytest.fixture(autouse=True)
def cache_folder(cache_root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Undoes, after a test, what it did to the variable."""
    monkeypatch.setenv("TLTOOL_CACHE", str(cache_root))
    return cache_root


@pytest.fixture(scope="session")
def data_for(domains: "Domains", bright: Path) -> Callable[[str], list[str]]:
    """Returns the overrides of the smallest data for a feed, or for those who need a ``group``."""
    special = {"contexts": [*domains.overrides(), "dataset.contexts=3", "dataset.target=null"]}
    special["contexts"] += ["optimizer=adamw"]  # EWC's strength is for steps of one size
    # 10 training classes of 3 drawings in episodes of 10 examples: 3 steps an epoch, as elsewhere.
    # With dropout, as LeNet has it, distances to the mean of a single example are mostly noise.
    glyphs = ("alphabets=3", "characters=5", "drawings=3")
    special["episodes"] = ["dataset=glyphs", *(f"dataset.{one}" for one in glyphs)]
    special["episodes"] += ["strategy.way=5", "strategy.query=1", "backbone=conv4"]
    # 21 of 30 pairs and 48 of 60 digits are for training: 3 steps an epoch too.
    special["heads"] = ["dataset=multi_mnist", "dataset.pairs=30", "dataset.batch_size=8"]
    # Each source has as many images as there are in one: 3 steps an epoch again.
    sources = f"dataset.source=[{domains.source},{bright}]"
    special["sources"] = ["dataset=image_folder", sources, f"dataset.target={domains.target}"]
    special["group"] = ["dataset=colored_digits", "dataset.examples=60"]
    return lambda feed: special.get(feed, domains.overrides())


def _draw(label: int, rng: np.random.Generator) -> Any:
    """A bar at one of three heights, in noise."""
    pixels = rng.integers(0, 60, (28, 28, 3))
    pixels[3 + 8 * label : 9 + 8 * label, 4:24] += 180
    return pixels.astype(np.uint8)


@pytest.fixture(scope="session")
def domains(tmp_path_factory: pytest.TempPathFactory) -> Domains:
    """Two folders, 3 classes each: 45 train and 15 test images; the target's are negatives."""
    root = tmp_path_factory.mktemp("domains")
    rng = np.random.default_rng(0)
    _fill(root / "source", rng, lambda pixels: pixels)
    _fill(root / "target", rng, lambda pixels: 255 - pixels)
    return Domains(root / "source", root / "target")


@pytest.fixture(scope="session")
def bright(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second source: the same bars, paler, in other noise."""
    root = tmp_path_factory.mktemp("more") / "bright"
    _fill(root, np.random.default_rng(1), lambda pixels: 128 + pixels // 2)
    return root


def _fill(root: Path, rng: np.random.Generator, change: Callable[[Any], Any]) -> None:
    for split, count in (("train", 15), ("test", 5)):
        for label, name in enumerate(("high", "middle", "low")):
            folder = root / split / name
            folder.mkdir(parents=True)
            for i in range(count):
                Image.fromarray(change(_draw(label, rng))).save(folder / f"{i}.png")


@pytest.fixture(scope="session")
def reviews(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Overrides of two tables of texts, 6 classes each told by a word, and of a small BERT."""
    root, rng = tmp_path_factory.mktemp("reviews"), np.random.default_rng(0)
    words = ("jazz", "wool", "kayak", "mummy", "bebop", "fifth")
    filler = {"source": ("a", "the", "and", "is"), "target": ("one", "that", "or", "seems")}
    filler["other"] = ("such", "as", "by", "was")  # a second source, for those who want one
    for domain, fill in filler.items():
        with (root / f"{domain}.csv").open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(("text", "label", "group", "split"))
            for i, word in enumerate(words * 11):
                text = " ".join([*rng.choice(fill, rng.integers(1, 4)), word, word])
                table.writerow((text, word, "ab"[i % 2], "train" if i < 48 else "test"))
    files = [f"dataset.{domain}={root / domain}.csv" for domain in ("source", "target")]
    return ["dataset=table", *files, "dataset.split=split", "backbone=bert_tiny"]


Run = Callable[..., dict[str, Any]]


@pytest.fixture
def run(domains: Domains) -> Run:
    """Runs overrides on the small data, in this process, and returns results.json."""
    from tltool.config.compose import resolve
    from tltool.run.execute import execute

    def call(path: Path, *overrides: str) -> dict[str, Any]:
        given = [*domains.overrides(), "experiment=smoke", "hardware=cpu", *overrides]
        return execute(resolve(given), path, ["tltool", "train"], Console(quiet=True))

    return call
