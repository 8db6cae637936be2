import csv
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from datasets import Dataset
from rich.console import Console

from tltool.config.compose import resolve
from tltool.errors import UserError
from tltool.run import apply
from tltool.run.apply import evaluate_run
from tltool.run.execute import execute

QUIET = Console(quiet=True)


def predict(run: Path, path: Path) -> dict[str, tuple[str, float]]:
    """Returns label and score of each path; checks the header and the count."""
    text, count = apply.predict(run, path, QUIET)
    rows = list(csv.reader(io.StringIO(text)))
    assert rows[0] == ["path", "label", "score"] and len(rows) == count + 1
    return {name: (label, float(score)) for name, label, score in rows[1:]}


@pytest.fixture(scope="session")
def recorded(trained, domains):
    """What the run recorded of each target test image: predicted class and score."""
    names = ("high", "low", "middle")  # the classes in their order
    with np.load(trained / "predictions.npz") as arrays:
        labels = [names[i] for i in arrays["target_test/predicted"]]
        scores = arrays["target_test/scores"].tolist()
    rows = csv.DictReader((trained / "splits.csv").read_text().splitlines())
    paths = [row["path"] for row in rows if (row["domain"], row["split"]) == ("target", "test")]
    assert len(paths) == len(labels) == 15
    return {
        str(domains.target / path): pair for path, *pair in zip(paths, labels, scores, strict=True)
    }


def test_evaluating_again_gives_the_recorded_metrics(trained):
    before = json.loads((trained / "results.json").read_text())
    assert before["metrics"].keys() >= {"source_test/accuracy", "target_test/accuracy"}
    assert evaluate_run(trained, QUIET) == before


def test_a_run_without_an_export_says_how_to_finish_it(trained, tmp_path):
    run = shutil.copytree(trained, tmp_path / "run")
    (run / "model.safetensors").unlink()
    with pytest.raises(UserError, match=f"tltool train --resume {run}"):
        evaluate_run(run, QUIET)


def test_a_folder_is_predicted_as_it_was_in_training(trained, domains, recorded):
    found = predict(trained, domains.target / "test")
    assert found.keys() == recorded.keys()
    for path, (label, score) in recorded.items():
        assert found[path][0] == label
        assert found[path][1] == pytest.approx(score, abs=1e-4)  # printed with four digits


def test_an_image_is_never_augmented_to_be_predicted(trained, domains, recorded, tmp_path):
    run = shutil.copytree(trained, tmp_path / "run")
    config = yaml.safe_load((run / "config.yaml").read_text())
    config["dataset"]["augment"] = "flip_crop"
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    found = predict(run, domains.target / "test")
    scores = {path: score for path, (_, score) in recorded.items()}
    assert {path: score for path, (_, score) in found.items()} == pytest.approx(scores, abs=1e-4)


def test_an_image_file_is_predicted(trained, recorded):
    path = next(iter(recorded))
    assert predict(trained, Path(path)).keys() == {path}


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_a_table_names_images_relative_to_itself(trained, domains, recorded, tmp_path, suffix):
    shutil.copytree(domains.target / "test", tmp_path / "images")
    elsewhere = str(domains.target / "test" / "low" / "0.png")
    rows = Dataset.from_dict({"id": [7, 8], "path": ["images/high/1.png", elsewhere]})
    table = tmp_path / f"table{suffix}"
    getattr(rows, {".csv": "to_csv", ".jsonl": "to_json", ".parquet": "to_parquet"}[suffix])(table)
    found = predict(trained, table)
    assert list(found) == [str(tmp_path / "images/high/1.png"), elsewhere]
    label, score = recorded[elsewhere]
    assert found[elsewhere] == (label, pytest.approx(score, abs=1e-4))


def test_a_table_without_a_path_column_is_refused(trained, tmp_path):
    (tmp_path / "table.csv").write_text("file,label\na.png,b\n")
    with pytest.raises(UserError, match="a column 'path' wanted; it has file, label"):
        apply.predict(trained, tmp_path / "table.csv", QUIET)


@pytest.mark.parametrize(("name", "text"), [("t.csv", ""), ("t.jsonl", "{"), ("t.parquet", "no")])
def test_a_table_that_cannot_be_read_is_named(trained, tmp_path, name, text):
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=f"{tmp_path / name}: cannot be read as a table") as error:
        apply.predict(trained, tmp_path / name, QUIET)
    assert len(error.value.problems) == 1


def test_images_that_cannot_be_read_are_named_each(trained, domains, tmp_path):
    shutil.copytree(domains.target / "test" / "low", tmp_path / "images")
    (tmp_path / "images" / "0.png").write_bytes(b"not an image")
    whole = (tmp_path / "images" / "1.png").read_bytes()
    (tmp_path / "images" / "1.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError) as error:
        apply.predict(trained, tmp_path / "images", QUIET)
    first, second = error.value.problems
    assert first.startswith(f"corrupt image {tmp_path / 'images' / '0.png'}: not an image")
    assert second.startswith(f"corrupt image {tmp_path / 'images' / '1.png'}: ")


def test_a_table_that_names_a_missing_image_says_which(trained, tmp_path):
    (tmp_path / "table.csv").write_text("path\nmissing.png\n")
    with pytest.raises(UserError, match=str(tmp_path / "missing.png")):
        apply.predict(trained, tmp_path / "table.csv", QUIET)


def test_a_folder_without_images_is_refused(trained, tmp_path):
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(UserError, match="no images in it"):
        apply.predict(trained, tmp_path, QUIET)


def test_data_that_are_gone_are_named(trained, tmp_path):
    run = shutil.copytree(trained, tmp_path / "run")
    config = yaml.safe_load((run / "config.yaml").read_text())
    config["dataset"]["target"] = str(tmp_path / "gone")
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(UserError, match="gone"):
        evaluate_run(run, QUIET)


def test_a_damaged_export_is_refused(trained, tmp_path):
    run = shutil.copytree(trained, tmp_path / "run")
    whole = (run / "model.safetensors").read_bytes()
    (run / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="no usable model.safetensors"):
        evaluate_run(run, QUIET)


def test_several_tasks_have_a_label_and_a_score_each(tmp_path, domains):
    given = ["strategy=hard_sharing", "dataset=multi_mnist", "dataset.pairs=30", "steps=1"]
    resolved = resolve(["experiment=smoke", "hardware=cpu", *given])
    execute(resolved, tmp_path, ["tltool", "train"], QUIET)
    text, count = apply.predict(tmp_path, domains.target / "test" / "low", QUIET)
    header, *rows = csv.reader(io.StringIO(text))
    assert header == ["path", "label_left", "score_left", "label_right", "score_right"]
    assert len(rows) == count == 5
    for _, left, left_score, right, right_score in rows:
        assert left in "0123456789" and right in "0123456789"
        assert 0.1 <= float(left_score) <= 1 and 0.1 <= float(right_score) <= 1
