"""Tables of texts and of image paths, and what is wrong with them, by line."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from datasets import Dataset
from PIL import Image

from tltool.data.cache import load_arrays
from tltool.data.preprocessing import Preprocessing, Tokenisation
from tltool.data.readers.base import Reader
from tltool.data.readers.records import column_names, read_rows
from tltool.data.readers.table import TableFiles
from tltool.errors import UserError

Problems = Callable[[Reader], tuple[str, ...]]
TEXTS = {"text": ["fine", "bad, very", 'two\nlines "quoted"'], "label": ["pos", "neg", "pos"]}


def table(path: Path, columns: dict[str, list[object]] = TEXTS) -> str:  # type: ignore[assignment]
    rows = Dataset.from_dict(columns)
    write = {".csv": rows.to_csv, ".parquet": rows.to_parquet}.get(path.suffix, rows.to_json)
    write(path)
    return str(path)


def text_file(path: Path, *lines: str) -> str:
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def bad_rows(reader: Reader) -> dict[str, str]:
    found = reader.read()
    pairs = zip(found["path"][:], found["problem"][:], strict=True)
    return {path.partition(":")[2]: problem for path, problem in pairs if problem}


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_texts_of_every_format(tmp_path: Path, suffix: str) -> None:
    reader = TableFiles(table(tmp_path / f"books{suffix}"))
    reader.check()
    found = reader.read()
    assert reader.modality == "text"
    assert found["text"][:] == TEXTS["text"]
    assert found.features["label"].names == ["neg", "pos"] and found["label"][:] == [1, 0, 1]
    assert set(found["domain"][:]) == {"source"} and set(found["problem"][:]) == {""}
    first = 1 if suffix != ".csv" else 2
    assert found["path"][:] == [f"books{suffix}:{first + row}" for row in range(3)]


def test_a_row_of_a_csv_is_named_by_the_line_that_it_begins_in(tmp_path: Path) -> None:
    path = text_file(tmp_path / "t.csv", "text,label", '"two', 'lines",a', "", "one,b")
    assert TableFiles(path).read()["path"][:] == ["t.csv:2", "t.csv:5"]


def test_a_target_has_classes_of_the_source_others_or_none(tmp_path: Path) -> None:
    source = text_file(tmp_path / "s.csv", "text,label", "a,10", "b,9")
    target = text_file(tmp_path / "t.csv", "text,label", "c,9", "d,", "e,8", "f,11")
    reader = TableFiles(source, target)
    found = reader.read()
    assert found.features["label"].names == ["9", "10"]  # numbers in their order
    assert found["label"][:] == [1, 0, 0, -1, -1, -1]
    assert found.features["only_in_target"].names == ["8", "11"]
    assert found["only_in_target"][:] == [-1, -1, -1, -1, 0, 1]
    assert bad_rows(reader) == {}
    unlabelled = TableFiles(source, text_file(tmp_path / "u.csv", "text", "c", "d"))
    unlabelled.check()
    assert unlabelled.read()["label"][:] == [1, 0, -1, -1]
    with pytest.raises(UserError, match="classes 7, and none of them is in the source"):
        TableFiles(source, text_file(tmp_path / "v.csv", "text,label", "c,7")).read()


def test_bad_rows_say_why(tmp_path: Path) -> None:
    path = tmp_path / "s.csv"
    lines = ["text,label,split", "a,x,", ",x,", "b,,", "c,x", "d,y,dev", "e,y,later", 'f"g,"x"y,']
    path.write_bytes("\n".join([*lines, "é,y,"]).encode("latin-1"))
    reader = TableFiles(str(path), split="split")
    reader.check()
    assert bad_rows(reader) == {
        "3": "no text",
        "4": "no label",
        "5": "2 fields, the header has 3",
        "7": "split later is not train, val or test",
        "8": "not readable as CSV (',' expected after '\"')",
        "9": "text is not UTF-8 text",
    }
    assert reader.read()["split"][:] == ["", "", "", "", "val", "", "", ""]


def test_a_quote_that_is_not_closed_is_named_where_it_opens(tmp_path: Path) -> None:
    rows = ["a,x", "b,y", '"c,x', *["d,y"] * 40_000]  # longer than the module's own limit
    reader = TableFiles(text_file(tmp_path / "s.csv", "text,label", *rows))
    [(line, problem)] = bad_rows(reader).items()
    assert line == "4"
    assert problem == "a quote opens and is not closed up to the end of the file, line 40004"


def test_bad_lines_of_json(tmp_path: Path) -> None:
    good = json.dumps({"text": "a", "label": 1}), json.dumps({"text": "b", "label": 0})
    bad = ('{"text": "c"', "[1]", '{"label": 1}', '{"text": null, "label": 1}')
    reader = TableFiles(text_file(tmp_path / "s.jsonl", *good, "", *bad))
    reader.check()
    found = bad_rows(reader)
    assert found.pop("4").startswith("not JSON (")
    assert found == {"5": "not a JSON object", "6": "no text", "7": "no text"}
    assert reader.read().features["label"].names == ["0", "1"]


def test_groups(tmp_path: Path) -> None:
    source = text_file(tmp_path / "s.csv", "text,label,sex", "a,x,f", "b,y,m", "c,y,")
    target = text_file(tmp_path / "t.csv", "text,label", "d,x")
    found = TableFiles(source, target, group="sex").read()
    assert found.features["group"].names == ["f", "m"]
    assert found["group"][:] == [0, 1, -1, -1]


def test_tasks(tmp_path: Path, problems: Problems) -> None:
    lines = ("text,label,stars,tone", "a,x,10,warm", "b,y,9,", "c,y,,cold")
    path = text_file(tmp_path / "s.csv", *lines)
    found = TableFiles(path, tasks=("stars", "tone")).read()
    assert found.features["task:stars"].names == ["9", "10"]
    assert (found["task:stars"][:], found["task:tone"][:]) == ([1, 0, -1], [1, -1, 0])
    assert problems(TableFiles(path, tasks=("tone", "star"))) == (
        "dataset.tasks=[star]: no such column in s.csv; did you mean 'stars'?; it has text, label, "
        "stars, tone: type dataset.tasks=[COLUMN]",
    )


def test_images_by_path(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for number in range(2):
        Image.new("RGB", (8, 8), (number, 0, 0)).save(tmp_path / f"photos/{number}.png")
    rows = ("photos/1.png,x", "photos/0.png,y", "photos/gone.png,x", "photos/0.png,")
    reader = TableFiles(text_file(tmp_path / "s.csv", "file,label", *rows), image="file")
    reader.check()
    assert reader.modality == "image"
    to = Preprocessing(size=8)
    arrays = load_arrays(reader, to, on_error="skip", cache=False)
    assert arrays.stored[:, 0, 0, 0].tolist() == [1, 0]
    assert arrays.skipped == ["s.csv:4", "s.csv:5"]
    with pytest.raises(UserError) as caught:
        load_arrays(reader, to)
    first, second = caught.value.problems
    assert first.startswith(f"corrupt image {tmp_path}/photos/gone.png: [Errno 2] No such file")
    assert second.startswith("bad row s.csv:5: no label; dataset.on_error=skip")
    before = reader.fingerprint()
    Image.new("RGB", (8, 8), (7, 0, 0)).save(tmp_path / "photos/1.png")
    assert reader.fingerprint() != before


def test_the_fingerprint_is_of_content_columns_and_names(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    one, same = table(tmp_path / "a/s.csv"), table(tmp_path / "b/s.csv")
    other = table(tmp_path / "b/t.csv")
    fingerprint = TableFiles(one).fingerprint()
    assert TableFiles(same).fingerprint() == fingerprint
    assert TableFiles(other).fingerprint() != fingerprint  # rows are named after the file
    assert TableFiles(one, label="text").fingerprint() != fingerprint
    assert TableFiles(one, same).fingerprint() != fingerprint
    Path(same).write_text(Path(same).read_text().replace("fine", "fone"))
    assert TableFiles(same).fingerprint() != fingerprint


def test_everything_wrong_with_the_options_is_told_at_once(
    tmp_path: Path, problems: Problems
) -> None:
    source = text_file(tmp_path / "s.csv", "txt,label,label", "a,x,y")
    target = text_file(tmp_path / "t.tsv", "text")
    assert problems(TableFiles(source, target, group="sex")) == (
        "dataset.text=text: no such column in s.csv; did you mean 'txt'?; it has txt, label, "
        "label: type dataset.text=COLUMN",
        "dataset.label=label: s.csv has several columns label",
        "dataset.group=sex: no such column in s.csv; it has txt, label, label: type "
        "dataset.group=COLUMN",
        f"dataset.target={target}: .csv or .jsonl or .ndjson or .parquet wanted, by its name",
    )


def test_a_column_cannot_be_text_and_label(tmp_path: Path, problems: Problems) -> None:
    assert problems(TableFiles(table(tmp_path / "s.csv"), label="text")) == (
        "dataset.label=text: that is dataset.text, type another",
    )


def test_files_that_are_no_tables(tmp_path: Path, problems: Problems) -> None:
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "wide.csv").write_text("text,label\na,b\n", encoding="utf-16")
    (tmp_path / "s.parquet").write_text("no")
    (tmp_path / "s.jsonl").write_text("[1]\n")
    said = {
        "gone.csv": "no such file",
        "": "a folder, where a file is wanted",
        "empty.csv": "cannot be read as a table (it is empty)",
        "wide.csv": "cannot be read as a table (its header is not UTF-8 text)",
        "s.parquet": "cannot be read as a table (Parquet file size is 2 bytes",
        "s.jsonl": "cannot be read as a table (not a JSON object)",
    }
    for name, reason in said.items():
        [line] = problems(TableFiles(str(tmp_path / name)))
        assert line.startswith(f"dataset.source={tmp_path / name}: {reason}")


def test_one_class_is_too_few(tmp_path: Path) -> None:
    path = text_file(tmp_path / "s.csv", "text,label", "a,x", "b,x", *["c,"] * 5)
    with pytest.raises(UserError) as caught:
        TableFiles(path).read()
    assert caught.value.problems == (
        f"dataset.label=label: two classes or more wanted, {path} has x in 7 rows",
        *(f"s.csv:{line}: no label" for line in (4, 5, 6)),
        "and 2 more bad rows",
    )


def test_a_byte_order_mark_is_no_part_of_a_name(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_bytes(b"\xef\xbb\xbftext,label\r\na,x\r\n")
    assert column_names(tmp_path / "s.csv") == ["text", "label"]
    [row] = read_rows(tmp_path / "s.csv", ["text"])
    assert (row.line, dict(row.values)) == (2, {"text": "a"})


def test_numbers_in_place_of_classes(tmp_path: Path) -> None:
    source = text_file(tmp_path / "s.csv", "text,label", "a,1.5", "b,-2", "c,1e3")
    target = text_file(tmp_path / "t.csv", "text,label", "d,7", "e,")
    reader = TableFiles(source, target, regression=True)
    assert reader.regression and not TableFiles(source, target).regression
    assert reader.read()["label"][:] == [1.5, -2.0, 1000.0, 7.0, None]
    assert reader.fingerprint() != TableFiles(source, target).fingerprint()
    words = Tokenisation("words", "1", 4, 0, lambda texts: [[len(text)] for text in texts])
    arrays, again = load_arrays(reader, words), load_arrays(reader, words)
    assert again.from_cache and arrays.class_names == again.class_names == []
    assert again.labels.dtype == "float64" and again.labels.tolist()[:4] == [1.5, -2, 1000, 7]
    assert again.labels[4] != again.labels[4]  # NaN
