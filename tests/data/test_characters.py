"""Readers of characters: Omniglot's folders and invented alphabets."""

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
from tltool.data.readers.glyphs import Glyphs
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


# omniglot

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
    assert rows(reader) == [("a/1/x.png", "a/1", ""), ("a/2/x.jpg", "a/2", ""), ("b/1/x.png", "b/1", "")]  # fmt: skip


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
    assert len(arrays.images) == 5 and len(arrays.skipped) == 4


def test_the_fingerprint_is_of_content_and_options(tmp_path: Path) -> None:
    given = folder(tmp_path / "a", *OMNIGLOT)
    first = Omniglot(given).fingerprint()
    assert Omniglot(folder(tmp_path / "b", *OMNIGLOT)).fingerprint() == first
    assert len({first, *(Omniglot(given, *o).fingerprint() for o in ((False,), (True, False)))}) == 3
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


# glyphs


def small(**options: Any) -> Glyphs:
    return Glyphs(**{"alphabets": 4, "characters": 3, "drawings": 2, **options})


def test_glyphs_are_named_and_split_by_alphabet() -> None:
    small().check()
    found = rows(small())
    assert len(found) == 4 * 3 * 2
    assert found[0] == ("alphabet00/character00/00", "alphabet00/character00", "train")
    assert len({name for _, name, _ in found}) == 12
    assert {name.partition("/")[0] for _, name, split in found if split == "test"} == {"alphabet03"}


def test_glyphs_are_the_same_every_time_and_others_for_another_seed() -> None:
    first, again, other = pixels(small()), pixels(small()), pixels(small(seed=1))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not any(np.array_equal(a, b) for a, b in zip(first, other, strict=True))
    more = pixels(small(alphabets=5))
    assert all(np.array_equal(a, b) for a, b in zip(first, more[: len(first)], strict=True))


def test_drawings_of_a_character_differ_but_less_than_characters_do() -> None:
    images = np.stack(pixels(small(drawings=6))).astype(float).reshape(12, 6, -1)
    means = images.mean(axis=1)
    within = np.linalg.norm(images - means[:, None], axis=-1).mean()
    between = np.linalg.norm(images[:, None] - means[None, :, None], axis=-1).mean()
    assert 0 < within < 0.8 * between
    assert (images.mean(axis=-1) > 255 * 0.02).all()  # there is ink in each
    assert images.mean() < 255 * 0.4  # on dark paper


def test_the_fingerprint_of_glyphs_is_of_their_options() -> None:
    assert small().fingerprint() == small().fingerprint()
    changed = [small(**{name: 5}).fingerprint() for name in vars(small())]
    assert len({small().fingerprint(), *changed}) == 6


def test_numbers_that_are_too_small_are_all_named() -> None:
    with pytest.raises(UserError) as error:
        Glyphs(alphabets=1, drawings=0, jitter=-0.1).check()
    assert error.value.problems == (
        "dataset.alphabets=1: 2 or more",
        "dataset.drawings=0: 2 or more",
        "dataset.jitter=-0.1: 0 or more",
    )
