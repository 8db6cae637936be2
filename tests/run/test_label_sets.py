"""Runs whose target lacks classes of the source, or adds some."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

from tltool.config.compose import resolve
from tltool.report import wording
from tltool.run.apply import evaluate_run, predict
from tltool.run.execute import execute
from tltool.strategies.adaptation.source_only import SourceOnly

OPEN = ("dataset.source_classes=[high,low]", "dataset.target_classes=[high,middle]")


def test_the_difference_is_said_once_and_kept(domains: Any, tmp_path: Path) -> None:
    console = Console(record=True, width=200, file=io.StringIO())
    given = [
        *domains.overrides(),
        "experiment=smoke",
        "hardware=cpu",
        "controls=true",
        *OPEN,
        "report=true",
    ]
    results = execute(resolve([*given, "strategy=dann", "steps=1"]), tmp_path, ["tltool"], console)
    assert results["label_sets"] == {
        "classes": 2,
        "missing_in_target": ["low"],
        "only_in_target": ["middle"],
        "unlabelled": 0,
        "rejects": False,
    }
    lacks, adds = wording.label_sets(results)
    assert lacks == "the target lacks 1 of 2 classes: low; strategy=pada is made for this"
    assert adds == (
        "the target adds a class: middle; strategy=osbp is made for this; "
        "dann rejects nothing, and gets those examples wrong"
    )
    shown = console.export_text()
    assert shown.count(lacks) == shown.count(adds) == 1  # and not by each control again
    page = (tmp_path / "report.html").read_text()
    assert lacks in page and "unknown" in page
    counts = results["counts"]
    assert (counts["source_train"], counts["target_train"], counts["target_test"]) == (30, 30, 10)
    assert counts["left_out_examples"] == 40
    rows = list(csv.DictReader((tmp_path / "splits.csv").read_text().splitlines()))
    out = {(row["domain"], row["path"].split("/")[1]) for row in rows if row["split"] == "left out"}
    assert out == {("source", "middle"), ("target", "low")}
    metrics = results["metrics"]
    assert metrics["target_test/unknown_accuracy"] == metrics["target_test/hos"] == 0.0
    assert results["controls"].keys() == {"source_only", "train_on_target"}
    kept = json.loads((tmp_path / "results.json").read_text())
    assert kept["label_sets"] == results["label_sets"]


def test_closed_and_unlabelled_targets_say_nothing(run: Any, tmp_path: Path, domains: Any) -> None:
    closed = run(tmp_path / "a", "strategy=source_only", "steps=1")
    assert closed["label_sets"]["missing_in_target"] == []
    assert wording.label_sets(closed) == []
    alone = run(tmp_path / "b", "strategy=source_only", "steps=1", "dataset.target=null")
    assert "label_sets" not in alone and wording.label_sets(alone) == []


def test_a_labelled_part_is_called_so() -> None:
    sets = {"classes": 3, "missing_in_target": ["a"], "only_in_target": [], "unlabelled": 2}
    results = {"strategy": "pada", "label_sets": {**sets, "rejects": False}}
    assert wording.label_sets(results) == [
        "the labelled part of the target lacks 1 of 3 classes: a"
    ]


def test_what_is_rejected_is_predicted_as_unknown(
    run: Any, tmp_path: Path, domains: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rejects everything: a third output that is always the largest."""

    def logits(self: Any, net: Any, features: torch.Tensor) -> torch.Tensor:
        known = net.head(features)
        return torch.cat([known, 5 + known.detach().amax(dim=1, keepdim=True)], dim=1)

    monkeypatch.setattr(SourceOnly, "rejects", True)
    monkeypatch.setattr(SourceOnly, "logits", logits)
    given = ("strategy=source_only", "dataset.source_classes=[high,low]", "selection=source_val")
    results = run(tmp_path / "run", *given, "steps=2", "report=true")
    assert results["label_sets"]["rejects"]
    assert wording.label_sets(results) == [
        "the target adds a class: middle; strategy=osbp is made for this"
    ]
    assert results["metrics"]["target_test/accuracy"] == pytest.approx(1 / 3)
    assert results["metrics"]["target_test/unknown_accuracy"] == 1.0
    assert results["metrics"]["source_test/accuracy"] == 0.0
    quiet = Console(quiet=True)
    assert evaluate_run(tmp_path / "run", quiet)["metrics"] == results["metrics"]
    text, count = predict(tmp_path / "run", domains.target / "test", quiet)
    assert {row["label"] for row in csv.DictReader(text.splitlines())} == {"unknown"}
    assert count == 15
