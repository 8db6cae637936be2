"""Folders of images, one folder a class."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tltool.data.readers.base import (
    Reader,
    digest,
    make_table,
    nothing_in_common,
    numbers_of,
    tree_digest,
)
from tltool.data.readers.places import Place, listed, places, twice
from tltool.errors import UserError

if TYPE_CHECKING:
    from datasets import Dataset

EXTENSIONS = (
    *(".jpg", ".jpeg", ".jfif", ".png", ".bmp", ".gif"),
    *(".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm"),
)
SPLITS = {"train": "train", "test": "test", "val": "val", "valid": "val", "validation": "val"}


@dataclass(frozen=True)
class ImageFile:
    """One image of a folder.

    Args:
        path: Of the file.
        name: The path below the domain's folder, with forward slashes.
        split: ``train``, ``val``, ``test`` or an empty string.
        label: Name of the class, or None.
    """

    path: Path
    name: str
    split: str
    label: str | None


@dataclass
class Scan:
    """What a domain's folder holds.

    Args:
        images: Sorted by name.
        splits: Those that have a folder, whether or not it holds images.
        empty: Class folders without images, relative to the folder.
        odd: Split folders that stand beside other folders.
    """

    images: list[ImageFile] = field(default_factory=list)
    splits: set[str] = field(default_factory=set)
    empty: list[str] = field(default_factory=list)
    odd: list[str] = field(default_factory=list)

    @property
    def labels(self) -> list[str]:
        """Names of the classes that have images, sorted."""
        return sorted({image.label for image in self.images if image.label is not None})


class ImageFolder(Reader):
    """Your own images: a folder for each domain, in it a folder for each class.

    Each is ``class/image``, or ``train|val|test/class/image`` where a split exists. The target may
    also hold images without class folders: then they are unlabelled. It may lack classes of the
    source, and have others. Hidden files, and files that are no images by extension, are passed
    over; folders inside a class folder belong to it.

    Args:
        source: Folder of the labelled domain; or several, as ``[A,B]``, each a domain called like
            its folder. The classes are those of all together.
        target: Folder of the other domain, or none.
    """

    def __init__(self, source: str | Sequence[str], target: str | None = None) -> None:
        self.source = source
        self.target = target

    def problems(self) -> list[str]:
        """Returns missing paths, wrong layouts, empty class folders, classes that have no match."""
        if not listed(self.source):
            return [f"dataset.source is missing: dataset.source=FOLDER, with {_layout('FOLDER')}"]
        scans: dict[Place, Scan] = {}
        found = self._places()
        problems = twice(found)
        for place in [] if problems else found:
            wrong = _folder_problems(place)
            if not wrong:
                scans[place] = scan(place.path)
                wrong = _scan_problems(place, scans[place])
            problems += wrong
        if all(place in scans for place in found if place.domain == "source"):
            problems += _class_problems(scans)
        return problems

    def fingerprint(self) -> str:
        """Returns a sha256 over names and content of all images, not over where they lie.

        Kept under the files' sizes and modification times: the second call reads no image.
        """
        files = {
            f"{place.key}/{image.name}": image.path
            for place in self._places()
            for image in scan(place.path).images
        }
        # What one source has in folders, several may have under their names.
        names = [self._source_names()] if self._source_names() else []
        return digest("image_folder", tree_digest(files), *names)

    def read(self) -> "Dataset":
        """Returns all images; classes are the source's, sorted; paths are below each folder.

        Where there are several sources, a path begins with the name of its own.

        Raises:
            UserError: As `check`.
        """
        if problems := self.problems():
            raise UserError(*problems)
        scans = {place: scan(place.path) for place in self._places()}
        classes, names = _source_labels(scans), self._source_names()
        of = {name: number for number, name in enumerate(names)}
        rows = [(place, image) for place in scans for image in scans[place].images]
        labels = [image.label for _, image in rows]
        return make_table(
            images=[str(image.path) for _, image in rows],
            labels=numbers_of(labels, classes),
            domains=[place.domain for place, _ in rows],
            splits=[image.split for _, image in rows],
            paths=[f"{p.name}/{image.name}" if p.name else image.name for p, image in rows],
            class_names=classes,
            sources=[of.get(place.name, -1) for place, _ in rows],
            source_names=names,
            strangers=["" if label is None or label in classes else label for label in labels],
        )

    def provenance(self) -> dict[str, str]:
        """Returns the folders as absolute paths."""
        return {place.key: str(place.path.absolute()) for place in self._places()}

    def _places(self) -> list[Place]:
        return places(self.source, self.target)

    def _source_names(self) -> list[str]:
        """Returns what the sources are called; empty for a single one."""
        return [place.name for place in self._places() if place.name]


def scan(folder: Path) -> Scan:
    """Lists what a domain's folder holds; reads names, not images."""
    found = Scan()
    subfolders = _subfolders(folder)
    split_folders = [path for path in subfolders if path.name.lower() in SPLITS]
    if subfolders and len(split_folders) == len(subfolders):
        for path in subfolders:
            split = SPLITS[path.name.lower()]
            found.splits.add(split)
            _scan_classes(found, folder, path, split)
    else:
        # A class may be called "train"; class folders inside it say that it is a split.
        found.odd = [p.name for p in split_folders if _subfolders(p) and not any(_images(p))]
        _scan_classes(found, folder, folder, "")
    found.images.sort(key=lambda image: image.name)
    return found


def _scan_classes(found: Scan, root: Path, folder: Path, split: str) -> None:
    class_folders = _subfolders(folder)
    if not class_folders:
        found.images += [_image(root, path, split, None) for path in _images(folder)]
    for class_folder in class_folders:
        paths = [
            path for below, _, _ in os.walk(class_folder) for path in _images(Path(below), root)
        ]
        found.images += [_image(root, path, split, class_folder.name) for path in paths]
        if not paths:
            found.empty.append(class_folder.relative_to(root).as_posix())


def _image(root: Path, path: Path, split: str, label: str | None) -> ImageFile:
    return ImageFile(path, path.relative_to(root).as_posix(), split, label)


def _subfolders(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))


def _images(folder: Path, root: Path | None = None) -> Iterator[Path]:
    """Yields the images directly in a folder, none if it is hidden below ``root``."""
    if root and any(part.startswith(".") for part in folder.relative_to(root).parts):
        return
    for path in folder.iterdir():
        is_image = path.suffix.lower() in EXTENSIONS and not path.name.startswith(".")
        if is_image and path.is_file():
            yield path


def _given(place: Place) -> str:
    return f"dataset.{place.domain}={place.path}"


def _source_labels(scans: Mapping[Place, Scan]) -> list[str]:
    """Returns the classes of all sources, sorted."""
    found = [scans[place].labels for place in scans if place.domain == "source"]
    return sorted({label for labels in found for label in labels})


def _class_problems(scans: Mapping[Place, Scan]) -> list[str]:
    labels, problems = _source_labels(scans), []
    for place, found in scans.items():
        if place.domain == "target":
            if labels and (problem := nothing_in_common(labels, found.labels)):
                problems.append(f"{_given(place)}: {problem}")
        elif unlabelled := [image for image in found.images if image.label is None]:
            problems.append(
                f"{_given(place)}: {len(unlabelled)} images without a class folder "
                f"(first {unlabelled[0].name}); wanted {_layout(place.path)}"
            )
        elif len(labels) == 1:
            problems.append(
                f"{_given(place)}: one class folder only ({labels[0]}); "
                f"wanted {_layout(place.path)}"
            )
    return problems


def _folder_problems(place: Place) -> list[str]:
    given = _given(place)
    if not place.path.exists():
        return [f"{given}: no such folder"]
    if not place.path.is_dir():
        return [f"{given}: a file, where a folder is wanted: {_layout('FOLDER')}"]
    return []


def _scan_problems(place: Place, found: Scan) -> list[str]:
    given, folder = _given(place), place.path
    if found.odd:
        return [
            f"{given}: {', '.join(found.odd)} beside other folders; "
            f"either train|val|test folders only, or class folders only"
        ]
    if not found.images:
        return [f"{given}: no images in it ({' '.join(EXTENSIONS)}); wanted {_layout(folder)}"]
    problems = [f"{given}: class folder {name} has no images" for name in found.empty]
    if found.splits and not any(image.split == "train" for image in found.images):
        problems.append(f"{given}: no images in a train folder beside {', '.join(found.splits)}")
    return problems


def _layout(folder: str | Path) -> str:
    return f"{folder}/CLASS/image.jpg or {folder}/train|test/CLASS/image.jpg"
