"""Writes MNIST's idx files as folders of images, ``OUT/train|test/DIGIT/NUMBER.png``.

    python scripts/idx_to_folders.py FOLDER_WITH_IDX_FILES OUT --train 4000

The idx files may be gzipped, as they are published, or not. ``--train`` keeps so many training
images, the same ones every time; every test image is kept.
"""

import argparse
import gzip
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SETS = {"train": "train", "test": "t10k"}


def main() -> None:
    """Converts both sets."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("idx", type=Path, help="folder with train-images-idx3-ubyte and the others")
    parser.add_argument("out", type=Path)
    parser.add_argument("--train", type=int, help="training images to keep; all by default")
    given = parser.parse_args()
    for split, prefix in SETS.items():
        images = read_idx(given.idx, f"{prefix}-images")
        labels = read_idx(given.idx, f"{prefix}-labels")
        rows = np.arange(len(labels))
        if split == "train" and given.train is not None:
            rows = np.sort(np.random.default_rng(0).permutation(rows)[: given.train])
        for label in range(10):
            (given.out / split / str(label)).mkdir(parents=True, exist_ok=True)
        for row in rows:
            path = given.out / split / str(labels[row]) / f"{row:05d}.png"
            Image.fromarray(images[row]).save(path)
        print(f"{given.out / split}: {len(rows)} images")


def read_idx(folder: Path, start: str) -> NDArray[np.uint8]:
    """Reads the one file whose name starts so: unsigned bytes of any shape."""
    path = next(iter(sorted(folder.glob(f"{start}*"))), None)
    if path is None:
        raise SystemExit(f"{folder} has no file {start}*")
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    dims = data[3]  # two zeros, the type, the number of dimensions
    shape = struct.unpack(f">{dims}I", data[4 : 4 + 4 * dims])
    return np.frombuffer(data, np.uint8, offset=4 + 4 * dims).reshape(shape)


if __name__ == "__main__":
    main()
