import io
from typing import Any

import numpy as np
import pytest
from datasets import Image as ImageFeature
from PIL import Image

from tltool.data.readers.base import Reader
from tltool.data.readers.glyphs import Glyphs
from tltool.errors import UserError


def pixels(reader: Reader) -> list[Any]:
    table = reader.read().cast_column("image", ImageFeature(decode=False))
    return [np.asarray(Image.open(io.BytesIO(row["image"]["bytes"]))) for row in table]


def rows(reader: Reader) -> list[tuple[str, str, str]]:
    table = reader.read()
    names = table.features["label"].names
    of = zip(table["path"][:], table["label"][:], table["split"][:], strict=True)
    return [(path, names[label], split) for path, label, split in of]


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
