"""Each command as a person types it."""

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

SMOKE = ("experiment=smoke", "hardware=cpu")


@pytest.fixture
def trained(cli: Any, domains: Any, tmp_path: Path) -> Path:
    run = tmp_path / "run"
    done = cli("train", *domains.overrides(), *SMOKE, "strategy=dann", f"run_dir={run}")
    assert done.code == 0, done.err
    return run


def test_train_prints_figures_and_folder_and_leaves_a_record(cli: Any, trained: Path) -> None:
    results = json.loads((trained / "results.json").read_text())
    assert results["schema"] == 1
    assert results["status"] == "done"
    assert (results["strategy"], results["backbone"]) == ("dann", "lenet")
    assert results["dataset"] == "image_folder"
    assert results["selection"] == {"rule": "last", "epoch": 2, "score": None, "epochs": 2}
    assert results["counts"]["source_train"] == results["counts"]["target_train"] == 45
    assert results["counts"]["target_test"] == 15
    assert results["counts"]["trainable_parameters"] == results["counts"]["total_parameters"]
    assert results["timing"]["examples_per_s"] > 0
    record = json.loads((trained / "record.json").read_text())
    assert record["status"] == "done"
    assert "strategy=dann" in record["commands"][0]
    assert len(record["dataset"]["fingerprint"]) == 64
    assert len(record["weights"]["state_sha256"]) == 64
    assert record["versions"]["torch"]


def test_train_again_refuses_the_folder_and_resume_shows_what_is_done(
    cli: Any, trained: Path, domains: Any
) -> None:
    again = cli("train", *domains.overrides(), *SMOKE, f"run_dir={trained}")
    assert again.code == 2
    assert "already holds a run" in again.problems[0]
    resumed = cli("train", "--resume", str(trained))
    assert resumed.code == 0
    assert "target_test/accuracy" in resumed.out
    assert cli("train", "--resume", str(trained), "seed=2").code == 2


def test_config_from_repeats_a_run_and_takes_overrides(
    cli: Any, trained: Path, tmp_path: Path
) -> None:
    cli("train", "--config-from", str(trained), f"run_dir={tmp_path / 'b'}")
    cli("train", "--config-from", str(trained), f"run_dir={tmp_path / 'c'}", "strategy=finetune")
    first, same, other = (
        json.loads((run / "results.json").read_text())
        for run in (trained, tmp_path / "b", tmp_path / "c")
    )
    assert same["metrics"] == first["metrics"]
    assert (first["strategy"], other["strategy"]) == ("dann", "finetune")


def test_eval_predict_and_their_files(
    cli: Any, trained: Path, domains: Any, tmp_path: Path
) -> None:
    results = json.loads((trained / "results.json").read_text())
    evaluated = cli("eval", str(trained), "--json")
    assert json.loads(evaluated.out) == results["metrics"]

    out = tmp_path / "predictions.csv"
    folder = domains.target / "test"
    assert cli("predict", str(trained), str(folder), "--out", str(out)).code == 0
    rows = list(csv.DictReader(out.read_text().splitlines()))
    assert list(rows[0]) == ["path", "label", "score"]
    right = sum(Path(row["path"]).parent.name == row["label"] for row in rows)
    assert right / len(rows) == pytest.approx(results["metrics"]["target_test/accuracy"])
    printed = cli("predict", str(trained), rows[0]["path"])
    assert printed.out.splitlines()[1] == ",".join(rows[0].values())


def test_controls_give_a_verdict(cli: Any, domains: Any, tmp_path: Path) -> None:
    run = tmp_path / "run"
    given = (*domains.overrides(), *SMOKE, "strategy=dann", "controls=true", f"run_dir={run}")
    done = cli("train", *given)
    assert done.code == 0
    results = json.loads((run / "results.json").read_text())
    names = ("source_only", "train_on_target")
    scored = [json.loads((run / f"controls/{n}/results.json").read_text()) for n in names]
    expected = {name: one["metrics"] for name, one in zip(names, scored, strict=True)}
    assert results["controls"] == expected
    assert [one["control"] for one in results["verdicts"]] == ["source_only"]  # not the bound
    verdict = results["verdict"]
    metric = "target_test/accuracy"
    gain = results["metrics"][metric] - results["controls"]["source_only"][metric]
    assert verdict["gain"] == pytest.approx(gain)
    assert verdict["interval"][0] <= gain <= verdict["interval"][1]
    words = {"positive": "dann helped", "none": "no clear effect of dann", "negative": "dann hurt"}
    assert words[verdict["verdict"]] in done.out


def test_selection_on_source_keeps_the_best_epoch(cli: Any, domains: Any, tmp_path: Path) -> None:
    given = (*domains.overrides(), *SMOKE, "steps=12", f"run_dir={tmp_path / 'a'}")
    assert cli("train", *given, "selection=source_val", "dataset.val_fraction=0.2").code == 0
    results = json.loads((tmp_path / "a/results.json").read_text())
    rows = list(csv.DictReader((tmp_path / "a/metrics.csv").read_text().splitlines()))
    scores = {
        int(row["epoch"]): float(row["source_val/accuracy"])
        for row in rows
        if row["source_val/accuracy"]
    }
    best = max(scores, key=lambda epoch: (scores[epoch], -epoch))
    assert results["selection"]["epoch"] == best
    assert results["selection"]["score"] == scores[best]
    assert results["metrics"]["source_val/accuracy"] == scores[best]


def test_show_prints_what_a_run_would_use(cli: Any) -> None:
    shown = yaml.safe_load(cli("show", "strategy=dann", "strategy.hidden=64").out)
    assert shown["strategy"]["hidden"] == 64
    assert shown["choices"]["strategy"] == "dann"
    assert shown["epochs"] == 10


def test_list_names_every_option_with_a_line(cli: Any) -> None:
    listed = json.loads(cli("list", "--json").out)
    assert {"backbone", "strategy", "dataset", "hardware"} <= set(listed)
    for group, found in listed.items():
        assert found, group
        assert all(option["description"] for option in found), group
    assert "Domain-adversarial" in cli("list", "strategy").out
    assert cli("list", "strategies").problems[0].startswith("strategies: no such group; did you")


def test_doctor_reports(cli: Any) -> None:
    done = cli("doctor")
    assert done.code == 0
    for name in ("torch", "torchvision", "cache", "hub"):
        assert name in done.out


def test_help_and_refusals_never_load_torch() -> None:
    script = (
        "import sys; sys.argv = ['tltool', *{args!r}]\n"
        "from tltool.cli import main\n"
        "try: main()\n"
        "except SystemExit as stop: code = stop.code or 0\n"
        "heavy = {{'torch', 'pytorch_lightning', 'timm', 'datasets'}} & set(sys.modules)\n"
        "print(code, sorted(heavy), file=sys.stderr)\n"
    )
    for args, code in (
        (["--help"], 0),
        (["train", "strategy=dannn"], 2),
        (["train", "dataset=image_folder", "dataset.source=/nowhere"], 2),
        (["list"], 0),
        (["reproduce"], 0),
        (["reproduce", "mnist_m", "stepz=3"], 2),
        (["curve", "strategy=finetun", "labels=1"], 2),
    ):
        done = subprocess.run(
            [sys.executable, "-c", script.format(args=args)], capture_output=True, text=True
        )
        assert done.stderr.splitlines()[-1] == f"{code} []", args


def test_completion_knows_groups_options_and_keys(cli: Any) -> None:
    from tltool.config.completion import complete

    assert "strategy=" in complete("strat", [])
    assert "strategy=dann" in complete("strategy=da", [])
    assert "strategy.hidden=" in complete("strategy.h", ["strategy=dann"])
