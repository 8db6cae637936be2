"""Labels that are numbers, from the table to the prediction."""

import csv
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from tltool.config.compose import resolve
from tltool.config.options import options
from tltool.config.signature import class_attribute
from tltool.data.readers import checked_reader
from tltool.errors import UserError
from tltool.report import wording
from tltool.run.apply import evaluate_run, predict
from tltool.run.build import build
from tltool.run.execute import execute

LEARN = [o.name for o in options("strategy") if class_attribute(o.target, "regression", False)]
QUIET = Console(quiet=True)
Go = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def brightness(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Overrides of two tables: how bright a square is, 20 to 40; in the target, on grey ground."""
    root, rng = tmp_path_factory.mktemp("brightness"), np.random.default_rng(0)
    for domain, ground, count in (("source", 0, 96), ("target", 60, 64)):
        rows = []
        for i in range(count):
            level = rng.uniform()
            pixels = np.full((28, 28, 3), ground) + rng.integers(0, 20, (28, 28, 3))
            pixels[8:20, 8:20] += round(level * 150)
            Image.fromarray(pixels.astype(np.uint8)).save(root / f"{domain}{i}.png")
            # Every eighth of the target is unlabelled; of the source, three are for validation.
            label = "" if domain == "target" and i % 8 == 0 else f"{20 + 20 * level:.3f}"
            rows.append((f"{domain}{i}.png", label, "test" if i % 4 == 3 else "train"))
        with (root / f"{domain}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([("path", "lux", "split"), *rows])
    files = [f"dataset.{domain}={root / domain}.csv" for domain in ("source", "target")]
    columns = ["dataset.image=path", "dataset.label=lux", "dataset.split=split"]
    return ["dataset=table", *files, *columns, "dataset.regression=true"]


@pytest.fixture
def go(brightness: list[str]) -> Go:
    def call(path: Path, *given: str) -> dict[str, Any]:
        resolved = resolve([*brightness, "experiment=smoke", "hardware=cpu", *given])
        return execute(resolved, path, ["tltool", "train"], QUIET)

    return call


def test_labels_are_standardised_by_the_sources_training_labels(brightness: list[str]) -> None:
    given = [*brightness, "experiment=smoke", "hardware=cpu", "selection=source_val"]
    config = resolve(given).config
    parts = build(config, checked_reader(config["dataset"]))
    spec, table, raw = parts.spec, parts.table, parts.arrays.labels
    assert (spec.regression, spec.num_classes, spec.class_names) == (True, 1, ())
    assert parts.model.net.head.out_features == 1
    train = table.rows["source", "train"]
    assert table.scale is not None
    assert (len(train), len(table.rows["source", "val"])) == (65, 7)
    assert table.scale.mean == pytest.approx(raw[train].mean())
    assert table.scale.std == pytest.approx(raw[train].std())
    y = table.y.numpy()
    assert y.dtype == np.float32
    assert y[train].mean() == pytest.approx(0, abs=1e-6) and y[train].std() == pytest.approx(1)
    assert table.scale.restore(table.y) == pytest.approx(raw, rel=1e-6, nan_ok=True)
    rows = table.rows["target", "train"]
    assert np.isnan(y[rows]).sum() == 8 and len(table.labelled("target", "train")) == 40
    assert (y[train] < 0).any()  # negative ones are labels too
    batch = parts.datamodule.feed("pair")[0]
    assert batch["source"]["y"].is_floating_point() and "y" not in batch["target"]


@pytest.mark.parametrize("strategy", LEARN)
def test_every_strategy_that_says_so_learns_numbers(strategy: str, go: Go, tmp_path: Path) -> None:
    results = go(tmp_path, f"strategy={strategy}", "report=true", "steps=3")
    assert results["status"] == "done"
    metrics = results["metrics"]
    for split in ("source_test", "target_test"):
        assert metrics[f"{split}/rmse"] >= metrics[f"{split}/mae"] > 0
        assert metrics[f"{split}/r2"] <= 1
    assert not any("accuracy" in name for name in metrics)
    assert evaluate_run(tmp_path, QUIET)["metrics"] == metrics
    page = (tmp_path / "report.html").read_text()
    assert "True and predicted numbers" in page and "Coloured by label" in page


def test_figures_can_be_worked_out_from_what_is_kept(go: Go, tmp_path: Path) -> None:
    learn = ("optimizer=adamw", "optimizer.lr=0.006", "steps=60", "selection=source_val")
    results = go(tmp_path, "strategy=dann", "controls=true", "report=true", *learn)
    metrics = results["metrics"]
    with np.load(tmp_path / "predictions.npz") as arrays:
        y, found = arrays["target_test/labels"], arrays["target_test/predicted"]
        units = arrays["units/target_test/r2"]
    assert len(y) == 16 and 20 <= y.min() < y.max() <= 40  # in their own unit
    errors = found - y
    assert metrics["target_test/mae"] == pytest.approx(np.abs(errors).mean())
    assert metrics["target_test/rmse"] == pytest.approx(math.sqrt((errors**2).mean()))
    expected = 1 - (errors**2).sum() / ((y - y.mean()) ** 2).sum()
    assert metrics["target_test/r2"] == pytest.approx(expected)
    assert units.mean() == pytest.approx(expected)
    assert metrics["source_test/r2"] > 0.8 and metrics["source_test/mae"] < 3  # of 20 to 40
    assert results["selection"]["score"] == pytest.approx(metrics["source_val/r2"])
    history = (tmp_path / "metrics.csv").read_text().splitlines()
    assert "source_val/r2" in history[0] and "accuracy" not in history[0].replace(
        "domain_accuracy", ""
    )
    assert results["controls"].keys() == {"source_only", "train_on_target"}
    theirs = results["controls"]["source_only"]["target_test/r2"]
    verdict = results["verdict"]
    assert verdict["metric"] == "target_test/r2"
    assert verdict["gain"] == pytest.approx(metrics["target_test/r2"] - theirs)
    [(_, sentence)] = wording.verdicts(results)
    assert f": {verdict['gain']:+.3f} on target_test/r2 against source_only" in sentence
    assert "points" not in sentence
    record = json.loads((tmp_path / "record.json").read_text())
    assert record["label_scale"].keys() == {"mean", "std"}


def test_a_prediction_is_in_the_labels_unit(go: Go, tmp_path: Path, brightness: list[str]) -> None:
    go(tmp_path / "run", "strategy=source_only", "steps=2")
    root = Path(brightness[1].partition("=")[2]).parent
    text, count = predict(tmp_path / "run", root / "target.csv", QUIET)
    rows = list(csv.DictReader(text.splitlines()))
    assert rows[0].keys() == {"path", "label"} and count == 64
    shown = {Path(row["path"]).name: float(row["label"]) for row in rows}
    with np.load(tmp_path / "run" / "predictions.npz") as arrays:
        recorded = arrays["target_test/predicted"]
    assert [shown[f"target{i}.png"] for i in range(3, 64, 4)] == pytest.approx(recorded, rel=1e-4)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["strategy=protonet"], "this strategy learns classes: type strategy=.*dann or .*finetune"),
        (["dataset.labels_per_class=3"], r"^dataset.labels_per_class=3: labels that are numbers"),
        (["dataset.target_labels=3"], "^dataset.target_labels=3: labels that are numbers"),
        (["dataset.split_by=class"], "^dataset.split_by=class: labels that are numbers"),
        (["dataset.tasks=[lux]"], "dataset.tasks: what it names is compared class by class"),
        (["evaluation=domains"], "evaluation=domains scores classes, and the labels are numbers"),
        (["dataset.regression=false"], r"none of them .* if they are numbers, type dataset.regre"),
        (
            ["dataset.regression=false", "dataset.target=null", "evaluation=regression"],
            "evaluation=regression scores numbers, and the labels are classes",
        ),
    ],
)
def test_what_is_about_classes_is_refused(
    given: list[str], said: str, go: Go, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=said) as caught:
        go(tmp_path, *given, "dataset.on_error=skip")
    assert len(caught.value.problems) == 1


def test_labels_that_are_no_numbers_are_named(tmp_path: Path, go: Go) -> None:
    def table(*labels: str) -> str:
        lines = ["text,lux", *(f"word {label},{label}" for label in labels)]
        (tmp_path / "t.csv").write_text("\n".join(lines) + "\n")
        return f"dataset.source={tmp_path / 't.csv'}"

    texts = (
        "dataset.image=null",
        "dataset.split=null",
        "dataset.target=null",
        "backbone=bert_tiny",
    )
    pytest.importorskip("transformers")
    with pytest.raises(UserError) as caught:
        go(tmp_path / "a", table("1", "two", "nan", "-3e2", "inf", ""), *texts)
    assert [line.partition(";")[0] for line in caught.value.problems] == [
        "bad row t.csv:3: label two is not a number",
        "bad row t.csv:4: label nan is not a number",
        "bad row t.csv:6: label inf is not a number",
        "bad row t.csv:7: no label",
    ]
    with pytest.raises(UserError, match="training examples are all the same"):
        go(tmp_path / "b", table(*["5.5"] * 10), *texts)
