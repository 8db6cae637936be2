"""Readers of several named sources."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tltool.config.compose import resolve
from tltool.data.readers import checked_reader
from tltool.data.readers.base import digest, file_digest, package_file, tree_digest
from tltool.data.readers.digits import FILES, Digits
from tltool.data.readers.image_folder import ImageFolder
from tltool.data.readers.places import tails
from tltool.data.readers.table import TableFiles
from tltool.errors import UserError
from tltool.run.build import build


def named(reader: Any) -> list[tuple[str, str, int]]:
    table = reader.read()
    names = table.features["domain_name"].names
    rows = zip(table["path"][:], table["domain_name"][:], table["label"][:], strict=True)
    return [(path, names[of] if of >= 0 else "", label) for path, of, label in rows]


def test_names_are_as_short_as_can_be_told_apart() -> None:
    def of(*paths: str) -> list[str]:
        return tails([Path(path) for path in paths])

    assert of("/d/photo", "/d/sketch/") == ["photo", "sketch"]
    assert of("/d/a/images", "/d/b/images", "/d/c") == ["a/images", "b/images", "d/c"]
    assert of("/d/x", "/d/y/../z") == ["x", "z"]


def test_folders(tmp_path: Path, folder: Any) -> None:
    photo = folder(tmp_path / "photo", "cat/1.png", "dog/1.png")
    sketch = folder(tmp_path / "sketch", "train/dog/1.png", "train/emu/1.png")
    reader = ImageFolder([sketch, photo], folder(tmp_path / "t", "cat/1.png", "emu/1.png"))
    reader.check()
    assert reader.read().features["label"].names == ["cat", "dog", "emu"]
    assert reader.read().features["domain_name"].names == ["sketch", "photo"]
    assert named(reader) == [
        ("sketch/train/dog/1.png", "sketch", 1),
        ("sketch/train/emu/1.png", "sketch", 2),
        ("photo/cat/1.png", "photo", 0),
        ("photo/dog/1.png", "photo", 1),
        ("cat/1.png", "", 0),
        ("emu/1.png", "", 2),
    ]
    assert reader.provenance().keys() == {"source/sketch", "source/photo", "target"}


def test_a_list_of_one_folder_is_that_folder(tmp_path: Path, folder: Any) -> None:
    photo = folder(tmp_path / "photo", "cat/1.png", "dog/1.png")
    one, listed = ImageFolder(photo), ImageFolder([photo])
    assert one.fingerprint() == listed.fingerprint()
    assert "domain_name" not in listed.read().features
    assert listed.read()["path"][:] == ["cat/1.png", "dog/1.png"]


def test_the_fingerprint_of_folders_tells_the_sources_apart(tmp_path: Path, folder: Any) -> None:
    """Also where the files of two sources are those of one that holds both."""
    for place in ("here", "there"):
        folder(tmp_path / place / "a", "x/1.png", "y/1.png")
        folder(tmp_path / place / "b", "x/1.png", "y/1.png")
    here, there = tmp_path / "here", tmp_path / "there"
    several = ImageFolder([f"{here}/a", f"{here}/b"]).fingerprint()
    assert several == ImageFolder([f"{there}/a", f"{there}/b"]).fingerprint()
    assert several != ImageFolder([f"{here}/b", f"{here}/a"]).fingerprint()
    assert several != ImageFolder(str(here)).fingerprint()
    assert several != ImageFolder(f"{here}/a").fingerprint()


def test_what_is_wrong_with_any_folder_is_told(tmp_path: Path, folder: Any, problems: Any) -> None:
    good = folder(tmp_path / "good", "a/1.png", "b/1.png")
    flat = folder(tmp_path / "flat", "1.png")
    found = problems(ImageFolder([good, flat, str(tmp_path / "gone")]))
    assert found == (f"dataset.source={tmp_path}/gone: no such folder",)
    [line] = problems(ImageFolder([good, flat]))
    assert line.startswith(f"dataset.source={flat}: 1 images without a class folder")
    assert problems(ImageFolder([good, f"{good}/../good"], good)) == (
        f"dataset.source names {good} twice: leave one of them out",
        f"dataset.source names {good} and dataset.target too: leave one of them out",
    )
    assert "dataset.source=FOLDER" in problems(ImageFolder([]))[0]
    one = [folder(tmp_path / name, "a/1.png") for name in ("p", "q")]
    assert len(problems(ImageFolder(one))) == 2  # one class in all of them
    ImageFolder([one[0], good]).check()  # a class may be absent in one


def table(path: Path, *rows: tuple[str, str]) -> str:
    path.parent.mkdir(exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *rows])
    return str(path)


def test_tables(tmp_path: Path) -> None:
    books = table(tmp_path / "books.csv", ("a", "x"), ("b", "y"))
    films = table(tmp_path / "films.csv", ("c", "y"), ("d", "z"))
    reader = TableFiles([films, books], table(tmp_path / "games.csv", ("e", "x"), ("f", "")))
    reader.check()
    assert reader.read().features["domain_name"].names == ["films", "books"]
    assert named(reader) == [
        ("films.csv:2", "films", 1),
        ("films.csv:3", "films", 2),
        ("books.csv:2", "books", 0),
        ("books.csv:3", "books", 1),
        ("games.csv:2", "", 0),
        ("games.csv:3", "", -1),
    ]
    assert reader.fingerprint() != TableFiles([books, films], reader.target).fingerprint()
    assert TableFiles([books]).fingerprint() == TableFiles(books).fingerprint()
    assert TableFiles([books]).read()["path"][:] == ["books.csv:2", "books.csv:3"]


def test_tables_of_one_name_are_told_by_their_folder(tmp_path: Path) -> None:
    files = [table(tmp_path / name / "all.csv", ("a", "x"), ("b", "y")) for name in "pq"]
    assert [row[:2] for row in named(TableFiles(files))] == [
        ("p/all.csv:2", "p/all"),
        ("p/all.csv:3", "p/all"),
        ("q/all.csv:2", "q/all"),
        ("q/all.csv:3", "q/all"),
    ]
    with pytest.raises(UserError, match=r"two classes or more wanted, .* and .* have x in 2 rows"):
        TableFiles([table(tmp_path / name / "one.csv", ("a", "x")) for name in "pq"]).read()


def test_both_sets_of_digits(problems: Any) -> None:
    reader = Digits(["uci", "mnist"], None)
    reader.check()
    rows = named(reader)
    assert [rows[i][:2] for i in (0, 1796, 1797)] == [
        ("uci/0", "uci"),
        ("uci/1796", "uci"),
        ("mnist/0", "mnist"),
    ]
    assert len({Digits(*given).fingerprint() for given in DIGITS}) == len(DIGITS)
    assert Digits(["mnist"]).fingerprint() == Digits("mnist").fingerprint()
    assert problems(Digits(["uci", "uci"], "mnist")) == (
        "dataset.source=[uci,uci] names a set twice",
    )
    assert problems(Digits(["mnist", "uci"])) == (
        "dataset.source and dataset.target are both uci: dataset.target=null for none",
    )


DIGITS: list[Any] = [
    (["uci", "mnist"], None),
    (["mnist", "uci"], None),
    ("mnist", "uci"),
    ("mnist", None),
]


def test_a_single_source_has_the_fingerprint_that_it_always_had(
    tmp_path: Path, folder: Any
) -> None:
    """What was read before there could be several is not read anew, and runs can go on."""
    sets = (("source", "mnist"), ("target", "uci"))
    files = [(domain, file_digest(package_file(*FILES[name]))) for domain, name in sets]
    assert Digits("mnist", "uci").fingerprint() == digest("digits", files)
    root = Path(folder(tmp_path, "a/1.png", "b/1.png"))
    images = {f"source/{name}": root / name for name in ("a/1.png", "b/1.png")}
    assert ImageFolder(str(root)).fingerprint() == digest("image_folder", tree_digest(images))
    path = table(tmp_path / "s.csv", ("a", "x"), ("b", "y"))
    of_file = tree_digest({"source/s.csv": Path(path)})
    keys = ("text", None, "label", None, (), None)
    assert TableFiles(path).fingerprint() == digest("table", of_file, [], *keys)


def test_a_run_knows_its_sources(tmp_path: Path, folder: Any) -> None:
    names = [f"{label}/{i}.png" for label in "xyz" for i in range(10)]
    source = [folder(tmp_path / "p", *names), folder(tmp_path / "q", *names[:20])]
    given = ["dataset=image_folder", f"dataset.source=[{','.join(source)}]", "hardware=cpu"]
    config = resolve([*given, "dataset.target=null", "dataset.labels_per_class=5"]).config
    assert config["dataset"]["source"] == source
    parts = build(config, checked_reader(config["dataset"]))
    assert parts.spec.sources == ("p", "q") and parts.spec.sizes == {"source": 25}
    of = parts.table.columns["domain"].values.numpy()
    for split, counts in (("train", [15, 10]), ("test", [6, 4])):
        assert np.bincount(of[parts.table.rows["source", split]]).tolist() == counts
    config = resolve([*given, "dataset.target=null", "dataset.labels_per_class=9"]).config
    with pytest.raises(UserError) as caught:
        build(config, checked_reader(config["dataset"]))
    first, second = caught.value.problems
    assert first.endswith("of p's training examples x has 8, y has 8, z has 8")
    assert "of q's training examples x has 8, y has 8" in second
