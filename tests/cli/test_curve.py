"""`tltool curve` on the small data."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

SMOKE = ("experiment=smoke", "hardware=cpu", "steps=2")


def test_a_curve_has_a_point_for_every_strategy_and_number_of_labels(
    cli: Any, domains: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    given = ("dataset=image_folder", f"dataset.source={domains.source}", *SMOKE)
    typed = ("curve", *given, "strategy=finetune,from_scratch", "labels=2,100%")
    done = cli(*typed, "seed=0")
    assert (done.code, done.err) == (0, "")
    folder = tmp_path / "runs/curve/image_folder"
    report = json.loads((folder / "curve.json").read_text())
    assert report["metric"] == "source_test/accuracy"
    points = {(one["strategy"], one["labels"]): one for one in report["points"]}
    assert {key: one["labels_per_class"] for key, one in points.items()} == {
        ("finetune", "2"): 2, ("finetune", "100%"): 15,
        ("from_scratch", "2"): 2, ("from_scratch", "100%"): 15,
    }  # fmt: skip
    rows = list(csv.DictReader((folder / "curve.csv").read_text().splitlines()))
    for row in rows:
        results = json.loads((Path(row["run"]) / "results.json").read_text())
        value = results["metrics"]["source_test/accuracy"]
        assert float(row["source_test/accuracy"]) == value
        assert points[row["strategy"], row["labels"]]["values"] == [value]
        assert results["counts"]["source_train"] == {"2": 6, "100%": 45}[row["labels"]]
    page = (folder / "curve.html").read_text()
    assert "<svg" in page and "labels of each class (log scale)" in page
    assert done.out.count("finetune") > 2 and "100%" in done.out

    # A second seed: what is done is kept.
    again = cli("curve", *given, "strategy=finetune", "labels=2", "seeds=0,1", "--json")
    assert again.code == 0
    assert again.err.count("done before") == 1
    [point] = json.loads(again.out)["points"]
    assert (point["seeds"], len(point["values"])) == ([0, 1], 2)


def test_a_point_that_failed_is_told_and_left_out(cli: Any, domains: Any, tmp_path: Path) -> None:
    given = ("dataset=image_folder", f"dataset.source={domains.source}", *SMOKE, "seeds=0")
    done = cli("curve", *given, "labels=1", "optimizer.lr=1e20", "--out", str(tmp_path / "a"))
    assert done.code == 2
    assert done.problems[0].startswith("every run failed: the loss term")


def test_all_that_is_wrong_is_refused_before_anything_runs(cli: Any, tmp_path: Path) -> None:
    refused = cli("curve", "labels=0,ten,200%,5,5")
    assert refused.code == 2
    assert [problem.partition(":")[0] for problem in refused.problems] == [
        "labels=0", "labels=ten", "labels=200%", "labels=0,ten,200%,5,5"
    ]  # fmt: skip
    assert cli("curve", "strategy=fintune,dann", "labels=1").problems == [
        line for line in cli("train", "strategy=fintune").problems
    ]
