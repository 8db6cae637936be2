"""Folders of characters: alphabet/character/image, as Omniglot comes."""

import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tltool.data.readers.base import Reader, digest, make_table, tree_digest
from tltool.data.readers.image_folder import EXTENSIONS
from tltool.errors import UserError

if TYPE_CHECKING:
    from datasets import Dataset

# Folder -> split; Omniglot's own names, and those that other folders of images have.
SPLITS = {
    "images_background": "train",
    "images_evaluation": "test",
    "train": "train",
    "val": "val",
    "test": "test",
}
TURNS = (0, 90, 180, 270)  # degrees, counter-clockwise


@dataclass(frozen=True)
class Drawing:
    """One image file.

    Args:
        path: Of the file.
        split: ``train``, ``val``, ``test`` or an empty string.
        character: ``alphabet/character``, its class.
    """

    path: Path
    split: str
    character: str


class Omniglot(Reader):
    """Drawings of characters, a folder for each alphabet, in it a folder for each character.

    Each is ``ALPHABET/CHARACTER/image``, below ``images_background`` (train) and
    ``images_evaluation`` (test) as Omniglot [0] comes, or below ``train``, ``val`` and ``test``, or
    directly in the folder: then type ``dataset.split_by=class``. A class is a character of an
    alphabet; those of the test split are seen in it alone.

    References:
        [0] Lake, Salakhutdinov & Tenenbaum, Human-level concept learning through probabilistic
            program induction, Science 2015; github.com/brendenlake/omniglot.
        [1] Vinyals et al., Matching networks for one shot learning, NeurIPS 2016, section 4.1.1,
            for the rotations. There, characters are split at random; here by alphabet, as [0] does.

    Args:
        folder: Holds the folders named above.
        rotations: Training characters turned by 90, 180 and 270 degrees are classes of their own,
            where the folders say what is for training.
        invert: Dark ink on light paper becomes light on dark.
    """

    def __init__(self, folder: str, rotations: bool = True, invert: bool = True) -> None:
        self.folder = folder
        self.rotations = rotations
        self.invert = invert

    def problems(self) -> list[str]:
        """Returns a missing folder, one in another layout, or with one character only."""
        wanted = _layout(self.folder or "FOLDER")
        if not self.folder:
            return [f"dataset.folder is missing: dataset.folder=FOLDER, with {wanted}"]
        given = f"dataset.folder={self.folder}"
        if not self._root.is_dir():
            return [f"{given}: no such folder"]
        drawings = list(scan(self._root))
        if not drawings:
            return [
                f"{given}: no images two folders deep ({' '.join(EXTENSIONS)}); wanted {wanted}"
            ]
        splits = {drawing.split for drawing in drawings}
        if splits != {""} and "train" not in splits:
            return [f"{given}: only {', '.join(sorted(splits))} images, none to train on"]
        if len({drawing.character for drawing in drawings}) == 1:
            return [f"{given}: one character only ({drawings[0].character}); wanted {wanted}"]
        return []

    def fingerprint(self) -> str:
        """Returns a sha256 over names and content of all images, and the options."""
        files = {d.path.relative_to(self._root).as_posix(): d.path for d in scan(self._root)}
        return digest("omniglot", tree_digest(files), self.rotations, self.invert)

    def read(self) -> "Dataset":
        """Returns all drawings, a rotated one right after the one that it was made of.

        Raises:
            UserError: As `check`.
        """
        if problems := self.problems():
            raise UserError(*problems)
        drawings = list(scan(self._root))
        turned = [TURNS if self.rotations and d.split == "train" else TURNS[:1] for d in drawings]
        with ThreadPoolExecutor() as pool:  # Pillow releases the interpreter lock
            encoded = list(pool.map(self._encode, drawings, turned))
        names, splits, paths = list[str](), list[str](), list[str]()
        for drawing, turns in zip(drawings, turned, strict=True):
            name = drawing.path.relative_to(self._root).as_posix()
            for turn in turns:
                suffix = f"/{turn}" if turn else ""
                names.append(drawing.character + suffix)
                splits.append(drawing.split)
                paths.append(name + suffix)
        classes = sorted(set(names))
        index = {name: number for number, name in enumerate(classes)}
        return make_table(
            [image for images in encoded for image in images],
            [index[name] for name in names],
            ["source"] * len(names),
            splits,
            paths,
            classes,
        )

    @property
    def _root(self) -> Path:
        return Path(self.folder).expanduser()

    def _encode(self, drawing: Drawing, turns: tuple[int, ...]) -> list[bytes]:
        """Returns the drawing at each turn, as PNG files; a corrupt one as it is, to be named."""
        from PIL import Image, ImageOps

        try:
            with Image.open(drawing.path) as opened:
                image = opened.convert("L")
        except Exception:  # on broken bytes Pillow raises almost anything
            return [drawing.path.read_bytes()] * len(turns)
        if self.invert:
            image = ImageOps.invert(image)
        files = []
        for turn in turns:
            file = io.BytesIO()
            image.rotate(turn, expand=True).save(file, "PNG", compress_level=1)
            files.append(file.getvalue())
        return files


def scan(root: Path) -> Iterator[Drawing]:
    """Yields the drawings below a folder, sorted; reads names, not images."""
    folders = [path for path in _visible(root) if path.is_dir()]
    if folders and all(path.name in SPLITS for path in folders):
        halves = [(path, SPLITS[path.name]) for path in folders]
    else:
        halves = [(root, "")]
    for half, split in halves:
        for alphabet in filter(Path.is_dir, _visible(half)):
            for character in filter(Path.is_dir, _visible(alphabet)):
                for path in _visible(character):
                    if path.suffix.lower() in EXTENSIONS:
                        yield Drawing(path, split, f"{alphabet.name}/{character.name}")


def _visible(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def _layout(folder: str) -> str:
    halves = " and ".join(list(SPLITS)[:2])
    return f"{folder}/ALPHABET/CHARACTER/image.png, or that below each of {halves}"
