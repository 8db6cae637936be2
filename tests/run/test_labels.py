"""A run with few labels learns from exactly those, whatever its strategy."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tltool.errors import UserError
from tltool.report import wording


def drawn(path: Path) -> set[str]:
    rows = csv.DictReader((path / "splits.csv").read_text().splitlines())
    return {row["path"] for row in rows if (row["domain"], row["split"]) == ("source", "train")}


def used(path: Path) -> set[str]:
    """Returns the target images whose labels were learned from."""
    rows = list(csv.DictReader((path / "splits.csv").read_text().splitlines()))
    assert all(row["domain"] == "target" for row in rows if row["target_label"])
    return {row["path"] for row in rows if row["target_label"] == "used"}


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


def test_target_labels_are_shown_counted_and_the_same_for_controls(
    run: Any, tmp_path: Path
) -> None:
    few = ("dataset.target_labels=2", "steps=2", "controls=true", "selection=source_val")
    results = run(tmp_path / "a", "strategy=dann", *few)
    assert results["target_labels"] == {"per_class": 2, "examples": 6}
    assert wording.selection_sentence(results).endswith("target labels were used: 2 per class (6)")
    record = json.loads((tmp_path / "a" / "record.json").read_text())
    assert record["target_labels_used"] == {"per_class": 2, "examples": 6}
    shown = used(tmp_path / "a")
    assert sorted(Path(path).parent.name for path in shown) == [
        "high", "high", "low", "low", "middle", "middle"
    ]  # fmt: skip
    assert all(path.startswith("train/") for path in shown)
    assert used(tmp_path / "a" / "controls" / "source_only") == shown
    control = json.loads((tmp_path / "a/controls/source_only/results.json").read_text())
    assert control["target_labels"] == results["target_labels"]
    bound = json.loads((tmp_path / "a/controls/train_on_target/results.json").read_text())
    assert bound["target_labels"] == {"per_class": "100%", "examples": 45}
    # Of the source, neither the validation images nor those for training are others.
    counts = results["counts"]
    assert (counts["source_val"], counts["source_train"]) == (4, 41)
    assert counts["target_train"] == 45 and "left_out_examples" not in counts


def test_target_labels_help_or_not_but_they_are_learned_from(run: Any, tmp_path: Path) -> None:
    given = ("strategy=source_only", "steps=1")
    plain = run(tmp_path / "a", *given)
    assert "target_labels" not in plain
    assert wording.selection_sentence(plain).endswith("target labels were not used")
    run(tmp_path / "b", *given, "dataset.target_labels=20%")
    weights = [load_file(tmp_path / name / "model.safetensors") for name in "ab"]
    assert any(not torch.equal(weights[0][key], weights[1][key]) for key in weights[0])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["dataset.target_labels=16"], r"^dataset.target_labels=16: .*target's .* high has 15"),
        (["dataset.target_labels=1", "dataset.target=null"], "no training example of the target"),
        (
            ["dataset.target_labels=1", "strategy=protonet"],
            "this strategy learns from none of them",
        ),
    ],
)
def test_target_labels_that_cannot_be_used_are_refused(
    given: list[str], said: str, run: Any, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=said):
        run(tmp_path / "a", *given)


def test_how_target_labels_were_used_is_said() -> None:
    def said(rule: str, per_class: int | str) -> str:
        target = {"per_class": per_class, "examples": 1500}
        selection, metrics = {"rule": rule}, {"target_test/accuracy": 0.5}
        results = {"selection": selection, "metrics": metrics, "target_labels": target}
        return wording.selection_sentence(results).partition("labels were ")[2]

    assert said("last", 5) == "used: 5 per class (1,500)"
    assert said("last", "10%") == "used: 10% of each class (1,500)"
    assert said("last", "100%") == "used: all of them (1,500)"
    assert said("oracle", 5) == (
        "used: 5 per class (1,500), and to choose the epoch: the target figures are an upper bound"
    )
