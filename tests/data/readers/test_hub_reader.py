from pathlib import Path

import numpy as np
import pytest

from tltool.data.readers.base import encode_png
from tltool.data.readers.hub import Hub
from tltool.errors import UserError


def saved(path: Path, splits: dict[str, list], *, names=None, label="label", **columns) -> str:
    """Writes a dataset dict with `save_to_disk`; pixel values say which row it is."""
    from datasets import ClassLabel, Dataset, DatasetDict, Features, Image, Value

    kind = (
        ClassLabel(names=names)
        if names
        else Value("string" if isinstance(next(iter(splits.values()))[0], str) else "int64")
    )
    found = {}
    for split, labels in splits.items():
        images = encode_png(np.full((len(labels), 4, 4, 3), 1, dtype=np.uint8) * 7)
        features = Features(
            picture=Image(), **{label: kind}, **dict.fromkeys(columns, Value("string"))
        )
        content = {"picture": [{"bytes": b} for b in images], label: labels, **columns}
        found[split] = Dataset.from_dict(content, features=features)
    DatasetDict(found).save_to_disk(path)
    return str(path)


def test_a_saved_dataset(tmp_path, rows):
    name = saved(
        tmp_path / "pets", {"train": [1, 0], "validation": [1], "test": [-1]}, names=["b", "a"]
    )
    reader = Hub(name)
    reader.check()
    table = reader.read()
    assert table.column_names == ["image", "label", "domain", "split", "path"]
    assert table.features["label"].names == ["b", "a"]  # the order of the dataset, unsorted
    assert rows(reader) == [
        ("pets/train/0", 1, "source", "train"),
        ("pets/train/1", 0, "source", "train"),
        ("pets/validation/0", 1, "source", "val"),
        ("pets/test/0", -1, "source", "test"),
    ]
    assert table[0]["image"].getpixel((0, 0)) == (7, 7, 7)


def test_labels_of_two_saved_datasets_are_matched_by_name(tmp_path, rows):
    source = saved(tmp_path / "s", {"train": [0, 1, 2]}, names=["a", "b", "c"])
    target = saved(tmp_path / "t", {"train": [0, 1]}, names=["c", "a"])
    reader = Hub(source, target_name=target)
    assert [row[1:3] for row in rows(reader)[3:]] == [(2, "target"), (0, "target")]
    stranger = saved(tmp_path / "u", {"train": [0]}, names=["z"])
    with pytest.raises(UserError, match="classes z, and none of them is in the source"):
        Hub(source, target_name=stranger).read()
    other = Hub(source, target_name=saved(tmp_path / "v", {"train": [0, 1]}, names=["z", "a"]))
    assert [row[1:3] for row in rows(other)[3:]] == [(-1, "target"), (0, "target")]
    table = other.read()
    assert table.features["only_in_target"].names == ["z"]
    assert table["only_in_target"][:] == [-1, -1, -1, 0, -1]


@pytest.mark.parametrize(
    ("labels", "names"), [(["x", "b", "x"], ["b", "x"]), ([10, 9, 10], ["9", "10"])]
)
def test_labels_that_are_strings_or_integers_become_classes(tmp_path, labels, names, rows):
    reader = Hub(saved(tmp_path / "s", {"train": labels}))
    assert reader.read().features["label"].names == names
    assert [row[1] for row in rows(reader)] == [1, 0, 1]


def test_domains_in_a_column(tmp_path, rows):
    name = saved(
        tmp_path / "pacs",
        {"all": [0, 1, 0, 1]},
        names=["a", "b"],
        style=["photo", "sketch", "art", "photo"],
    )
    reader = Hub(name, domain="style", source="photo", target="sketch")
    assert rows(reader) == [
        ("pacs/all/0", 0, "source", ""),
        ("pacs/all/1", 1, "target", ""),
        ("pacs/all/3", 1, "source", ""),
    ]
    with pytest.raises(UserError, match="dataset.target=foto: not in column style.*art, photo"):
        Hub(name, domain="style", source="photo", target="foto").read()


def test_columns_that_cannot_be_told_are_asked_for(tmp_path, rows):
    name = saved(tmp_path / "s", {"train": [0, 1]}, names=["a", "b"], label="coarse")
    assert rows(Hub(name))[1][1] == 1
    with pytest.raises(
        UserError, match="dataset.label=fine: no such column in s/train, only picture, coarse"
    ):
        Hub(name, label="fine").read()
    words = saved(tmp_path / "w", {"train": ["a", "b"]}, label="species")
    with pytest.raises(UserError, match="dataset.label=COLUMN, one of picture, species"):
        Hub(words).read()
    assert rows(Hub(words, label="species"))[1][1] == 1


def test_splits_without_a_training_split_are_refused(tmp_path):
    name = saved(tmp_path / "s", {"test": [0, 1]}, names=["a", "b"])
    with pytest.raises(UserError, match="no train split, only test"):
        Hub(name).read()


def test_a_folder_of_images_goes_through_load_dataset(tmp_path, monkeypatch, folder, rows):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hf")
    name = folder(tmp_path / "pets", "train/a/1.png", "train/b/1.png", "test/a/1.png")
    assert [row[1:] for row in rows(Hub(name))] == [
        (0, "source", "train"),
        (1, "source", "train"),
        (0, "source", "test"),
    ]


def test_fingerprint_of_a_folder_follows_its_content_and_the_keys(tmp_path):
    name = saved(tmp_path / "s", {"train": [0, 1]}, names=["a", "b"])
    before = Hub(name).fingerprint()
    assert Hub(name).fingerprint() == before
    assert Hub(name, label="label").fingerprint() != before
    assert Hub(name).provenance()["config"] == "default"
    saved(tmp_path / "t", {"train": [1, 1]}, names=["a", "b"])
    assert Hub(str(tmp_path / "t")).fingerprint() != before


def test_a_full_commit_needs_no_question_to_the_hub():
    commit = "0123456789abcdef0123456789abcdef01234567"
    reader = Hub("user/pets", revision=commit)
    assert reader.provenance() == {"name": "user/pets", "config": "default", "revision": commit}
    assert reader.fingerprint() != Hub("user/pets", revision=commit[::-1]).fingerprint()


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ConnectionError("Couldn't reach 'user/gone'"), "the hub does not answer; offline"),
        (ValueError("BuilderConfig 'x' not found.\nAvailable: y"), "BuilderConfig 'x' not found."),
    ],
)
def test_a_hub_that_does_not_answer_is_one_line(monkeypatch, error, said):
    import datasets

    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr(datasets, "load_dataset_builder", fail)
    for call in (Hub("user/gone").fingerprint, Hub("user/gone").read):
        with pytest.raises(UserError) as caught:
            call()
        (line,) = caught.value.problems
        assert line.startswith(f"dataset.name=user/gone: {said}")
        assert "\n" not in line


@pytest.mark.parametrize(
    ("reader", "said"),
    [
        (Hub(""), "dataset.name is missing"),
        (Hub("./nowhere"), "dataset.name=./nowhere: no such folder"),
        (Hub("a/b/c"), "no such folder"),
        (Hub("two words"), "neither a folder nor a name on the hub"),
        (Hub("pets", domain="style"), "also say dataset.source=VALUE"),
        (Hub("pets", target="sketch"), "dataset.target=sketch: in which column?"),
        (Hub("pets", target_name="~/nowhere"), "dataset.target_name=~/nowhere: no such folder"),
        (Hub("pets", domain="d", source="s", target_config="c"), "names the target already"),
    ],
)
def test_keys_that_cannot_be_right(reader, said, problems):
    (line,) = problems(reader)
    assert said in line
