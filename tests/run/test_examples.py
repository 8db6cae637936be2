"""What a run on texts predicts."""

import csv
import io
from pathlib import Path

import pytest
from datasets import Dataset
from rich.console import Console

from tltool.config.compose import resolve
from tltool.errors import UserError
from tltool.run.apply import predict
from tltool.run.examples import examples_at
from tltool.run.execute import execute

pytest.importorskip("transformers")
QUIET = Console(quiet=True)


@pytest.fixture(scope="module")
def run(reviews: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("texts") / "run"
    given = [*reviews, "experiment=smoke", "hardware=cpu", "strategy=finetune", "steps=60"]
    given += ["optimizer=adamw", "optimizer.lr=0.003"]
    execute(resolve(given), path, ["tltool", "train"], QUIET)
    return path


def predicted(run: Path, path: Path) -> list[list[str]]:
    text, count = predict(run, path, QUIET)
    header, *rows = csv.reader(io.StringIO(text))
    assert header == ["text", "label", "score"] and len(rows) == count
    assert all(0 < float(score) <= 1 for _, _, score in rows)
    return [row[:2] for row in rows]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_a_table_of_texts(run: Path, tmp_path: Path, suffix: str) -> None:
    rows = Dataset.from_dict({"id": [1, 2], "text": ["the jazz, jazz", "a wool wool"]})
    path = tmp_path / f"t{suffix}"
    {".csv": rows.to_csv, ".jsonl": rows.to_json, ".parquet": rows.to_parquet}[suffix](path)
    assert predicted(run, path) == [["the jazz, jazz", "jazz"], ["a wool wool", "wool"]]


def test_a_text_a_line(run: Path, tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("kayak kayak\r\n\nis mummy mummy\n")
    assert predicted(run, tmp_path / "t.txt") == [
        ["kayak kayak", "kayak"],
        ["is mummy mummy", "mummy"],
    ]


def refusal(path: Path, modality: str = "text", **dataset: str) -> tuple[str, ...]:
    with pytest.raises(UserError) as caught:
        examples_at(path, modality, dataset)
    return caught.value.problems


def test_the_column_is_the_one_that_was_trained_on(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("review\nfine\n")
    assert examples_at(path, "text", {"text": "review"}).items == ["fine"]
    assert refusal(path) == (f"{path}: a column 'text' wanted; it has review",)
    assert examples_at(path, "image", {"image": "review"}).names == [str(tmp_path / "fine")]


def test_rows_without_a_text_are_named(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("text,id\na,1\n,2\nb\n" + ",3\n" * 10)
    lines = refusal(path)
    assert lines[:2] == (f"{path}:3: no text", f"{path}:4: 1 fields, the header has 2")
    assert len(lines) == 11 and lines[-1] == "and 2 more"


def test_what_holds_no_texts_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text("\n")
    (tmp_path / "other.txt").write_bytes(b"\xe9")
    assert refusal(tmp_path / "empty.txt") == (f"{tmp_path / 'empty.txt'}: no texts in it",)
    assert "cannot be read as text" in refusal(tmp_path / "other.txt")[0]
    assert "this run takes texts" in refusal(tmp_path)[0]
