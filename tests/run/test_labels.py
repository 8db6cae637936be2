"""A run with few labels learns from exactly those, whatever its strategy."""

import csv
from pathlib import Path
from typing import Any

import pytest

from tltool.errors import UserError


def drawn(path: Path) -> set[str]:
    rows = csv.DictReader((path / "splits.csv").read_text().splitlines())
    return {row["path"] for row in rows if (row["domain"], row["split"]) == ("source", "train")}


def test_the_same_labels_for_every_strategy_and_others_for_another_seed(
    run: Any, tmp_path: Path
) -> None:
    few = ("dataset.labels_per_class=2", "steps=1")
    results = run(tmp_path / "a", "strategy=finetune", *few)
    run(tmp_path / "b", "strategy=dann", *few)
    run(tmp_path / "c", "strategy=finetune", "seed=1", *few)
    counts = results["counts"]
    assert (counts["source_train"], counts["left_out_examples"]) == (6, 39)
    assert (counts["target_train"], counts["source_test"]) == (45, 15)
    assert drawn(tmp_path / "a") == drawn(tmp_path / "b") != drawn(tmp_path / "c")
    assert sorted(Path(path).parent.name for path in drawn(tmp_path / "a")) == [
        "high", "high", "low", "low", "middle", "middle"
    ]  # fmt: skip


def test_too_many_are_refused(run: Any, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^dataset.labels_per_class=16: .* high has 15"):
        run(tmp_path / "a", "dataset.labels_per_class=16")
