import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets import Image as ImageFeature
from PIL import Image

from tltool.data.cache import load_arrays
from tltool.data.preprocessing import Preprocessing
from tltool.data.readers.base import Reader
from tltool.data.readers.omniglot import Omniglot
from tltool.errors import UserError

GREY = Preprocessing(size=28, channels=1, mean=(0.0,), std=(1.0,))


def folder(root: Path, *names: str) -> str:
    """Draws a black corner, top left, on white paper."""
    for name in names:
        pixels = np.full((12, 12), 255, np.uint8)
        pixels[:4, :4] = 0
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).convert("1").save(root / name)
    return str(root)


def pixels(reader: Reader) -> list[Any]:
    table = reader.read().cast_column("image", ImageFeature(decode=False))
    return [np.asarray(Image.open(io.BytesIO(row["image"]["bytes"]))) for row in table]


def rows(reader: Reader) -> list[tuple[str, str, str]]:
    table = reader.read()
    names = table.features["label"].names
    of = zip(table["path"][:], table["label"][:], table["split"][:], strict=True)
    return [(path, names[label], split) for path, label, split in of]


def problem(reader: Reader) -> str:
    with pytest.raises(UserError) as error:
        reader.check()
    (line,) = error.value.problems
    return str(line)


OMNIGLOT = (
    "images_background/Greek/character01/1.png",
    "images_background/Greek/character02/1.png",
    "images_evaluation/Tengwar/character01/1.png",
)


def test_background_is_for_training_and_turned_and_evaluation_is_neither(tmp_path: Path) -> None:
    reader = Omniglot(folder(tmp_path, *OMNIGLOT))
    reader.check()
    first, second, test = OMNIGLOT
    names = [
        (f"{path}{turn}", f"{character}{turn}", "train")
        for path, character in ((first, "Greek/character01"), (second, "Greek/character02"))
        for turn in ("", "/90", "/180", "/270")
    ]
    assert rows(reader) == [*names, (test, "Tengwar/character01", "test")]


def test_ink_is_white_and_a_turn_is_by_90_degrees_to_the_left(tmp_path: Path) -> None:
    upright, left, around, right, _ = pixels(Omniglot(folder(tmp_path, OMNIGLOT[0], OMNIGLOT[2])))
    assert (upright[:4, :4] == 255).all() and upright.sum() == 16 * 255
    assert (left[-4:, :4] == 255).all() and left.sum() == 16 * 255
    assert (around[-4:, -4:] == 255).all()
    assert (right[:4, -4:] == 255).all()


def test_neither_turns_nor_white_ink_where_they_are_not_wanted(tmp_path: Path) -> None:
    reader = Omniglot(folder(tmp_path, *OMNIGLOT), rotations=False, invert=False)
    assert [path for path, _, _ in rows(reader)] == list(OMNIGLOT)
    assert all((image[:4, :4] == 0).all() and image[-1, -1] == 255 for image in pixels(reader))


def test_alphabets_without_splits_are_left_to_the_options(tmp_path: Path) -> None:
    given = folder(tmp_path, "a/1/x.png", "a/2/x.jpg", "b/1/x.png", "a/.hidden/x.png", ".c/1/x.png")
    (tmp_path / "a" / "1" / "notes.txt").write_text("no image")
    reader = Omniglot(given)
    reader.check()
    assert rows(reader) == [
        (f"{character}/x.{suffix}", character, "")
        for character, suffix in (("a/1", "png"), ("a/2", "jpg"), ("b/1", "png"))
    ]


def test_splits_of_other_names(tmp_path: Path) -> None:
    names = ("test/a/1/x.png", "train/b/1/x.png", "val/c/1/x.png")
    reader = Omniglot(folder(tmp_path, *names), rotations=False)
    assert [split for _, _, split in rows(reader)] == ["test", "train", "val"]


def test_a_corrupt_drawing_is_named_or_left_out(tmp_path: Path) -> None:
    reader = Omniglot(folder(tmp_path, *OMNIGLOT))
    (tmp_path / OMNIGLOT[1]).write_bytes(b"torn")
    with pytest.raises(UserError, match=f"corrupt image {OMNIGLOT[1]}"):
        load_arrays(reader, GREY, cache=False)
    arrays = load_arrays(reader, GREY, cache=False, on_error="skip")
    assert len(arrays.stored) == 5 and len(arrays.skipped) == 4


def test_the_fingerprint_is_of_content_and_options(tmp_path: Path) -> None:
    given = folder(tmp_path / "a", *OMNIGLOT)
    first = Omniglot(given).fingerprint()
    assert Omniglot(folder(tmp_path / "b", *OMNIGLOT)).fingerprint() == first
    assert (
        len({first, *(Omniglot(given, *o).fingerprint() for o in ((False,), (True, False)))}) == 3
    )
    folder(tmp_path / "a", OMNIGLOT[0].replace("1.png", "2.png"))
    assert Omniglot(given).fingerprint() != first


def test_what_cannot_be_read_is_said_in_one_line(tmp_path: Path) -> None:
    assert "dataset.folder is missing: dataset.folder=FOLDER" in problem(Omniglot(""))
    assert problem(Omniglot("/nowhere")) == "dataset.folder=/nowhere: no such folder"
    (tmp_path / "empty").mkdir()
    assert "no images two folders deep" in problem(Omniglot(str(tmp_path / "empty")))
    assert "no images two folders deep" in problem(Omniglot(folder(tmp_path / "flat", "a/x.png")))
    one = folder(tmp_path / "one", "a/1/x.png", "a/1/y.png")
    assert "one character only (a/1)" in problem(Omniglot(one))
    only = folder(tmp_path / "only", OMNIGLOT[2], "images_evaluation/b/1/x.png")
    assert "only test images, none to train on" in problem(Omniglot(only))
