"""Images to train on: JPEG files cut from the photographs that scikit-image carries."""

from pathlib import Path

import numpy as np
from PIL import Image

from tltool.data.readers.base import package_file
from tltool.data.readers.mnist_m import PHOTOGRAPHS


def write_photographs(folder: Path, per_class: int, side: int) -> Path:
    """Writes one folder a photograph, in it squares of ``side`` pixels from random places."""
    random = np.random.default_rng(0)
    for name in PHOTOGRAPHS:
        with Image.open(package_file("skimage", f"data/{name}")) as opened:
            photograph = opened.convert("RGB")
        target = folder / Path(name).stem
        target.mkdir(parents=True)
        for number in range(per_class):
            crop = int(random.integers(side // 2, min(photograph.size)))
            left, top = (int(random.integers(0, length - crop)) for length in photograph.size)
            square = photograph.crop((left, top, left + crop, top + crop))
            square.resize((side, side)).save(target / f"{number:04d}.jpg")
    return folder
