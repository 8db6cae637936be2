import numpy as np
import pytest

from tltool.data.readers.colored_digits import ColoredDigits


@pytest.fixture(autouse=True)
def read_once(mnist, monkeypatch):
    monkeypatch.setattr("tltool.data.readers.colored_digits.digit_images", lambda name: mnist)


def counts(table) -> dict[str, list[list[int]]]:
    """Returns images by group and class, of each split."""
    frame = table.select_columns(["label", "split", "group"]).to_pandas()
    return {
        split: [
            [int(((part["group"] == a) & (part["label"] == y)).sum()) for y in (0, 1)]
            for a in (0, 1)
        ]
        for split, part in frame.groupby("split")
    }


def test_the_colour_goes_with_the_class_in_training_and_not_in_the_test():
    found = counts(ColoredDigits().read())
    assert found == {"train": [[1800, 200], [200, 1800]], "test": [[250, 250], [250, 250]]}
    found = counts(ColoredDigits(correlation=0.5, examples=200).read())
    (a, b), (c, d) = found["train"]
    assert abs(a - c) <= 1 and abs(b - d) <= 1


def test_the_group_is_the_colour_and_the_label_tells_low_from_high(mnist):
    table = ColoredDigits(examples=40).read()
    pixels, numbers = mnist
    assert table.features["label"].names == ["low", "high"]
    assert table.features["group"].names == ["red", "green"]
    for row in table:
        number, image = int(row["path"].split("/")[1]), np.asarray(row["image"])
        assert row["label"] == (numbers[number] >= 5)
        assert (image[..., row["group"]] == pixels[number]).all()
        assert not image[..., [c for c in range(3) if c != row["group"]]].any()


def test_one_seed_gives_one_dataset():
    options = ({}, {}, {"seed": 1}, {"correlation": 0.8})
    readers = [ColoredDigits(examples=60, **more) for more in options]
    contents = [(r.read()["path"][:], r.read()["group"][:]) for r in readers]
    assert contents[0] == contents[1]
    assert contents[0] != contents[2] and contents[0] != contents[3]
    assert len({r.fingerprint() for r in readers}) == 3


def test_problems_are_named():
    assert ColoredDigits(correlation=1.1).problems() == [
        "dataset.correlation=1.1: a number from 0 to 1"
    ]
    assert ColoredDigits(examples=19).problems() == [
        "dataset.examples=19: an integer from 20 to 5000"
    ]
    assert ColoredDigits(seed=-1).problems() == ["dataset.seed=-1: an integer from 0 on"]
