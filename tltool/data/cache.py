"""Decode once: every image of a reader as one array, kept on disk for the next run."""

import errno
import io
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal, cast

import numpy as np
import numpy.typing as npt

from tltool.data.decode import decode_image
from tltool.data.preprocessing import Preprocessing
from tltool.data.readers.base import Reader, digest
from tltool.errors import RunError, UserError

if TYPE_CHECKING:
    from datasets import Dataset
    from torch import Tensor

FORMAT = 2  # of a cache folder, and of how `decode_image` makes pixels: raise it to decode anew
CHUNK = 512  # images decoded between two writes
NAMED = 10  # corrupt images named before the rest is only counted
FILES = ("images.npy", "labels.npy", "domains.npy", "splits.npy", "columns.npz", "rows.json")

Progress = Callable[[int, int], None]
"""Is called with images done and images in all."""


@dataclass(frozen=True)
class Arrays:
    """All images of a reader.

    Args:
        images: (N, C, H, W) of uint8; memory-mapped where it lies in the cache, whose file never
            changes.
        labels: (N,) of int64, -1 where unknown.
        domains: (N,) of ``source`` or ``target``.
        splits: (N,) of ``train``, ``val``, ``test`` or an empty string.
        paths: N names, each of one row within its domain.
        class_names: In the order of the labels.
        columns: What else is known of each image, by name: values (N,) of int64, -1 where unknown,
            and what each value is called.
        skipped: Paths of corrupt images that were left out.
        fingerprint: The reader's.
        from_cache: Whether nothing had to be decoded.
    """

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    domains: npt.NDArray[np.str_]
    splits: npt.NDArray[np.str_]
    paths: list[str]
    class_names: list[str]
    columns: dict[str, tuple[npt.NDArray[np.int64], tuple[str, ...]]]
    skipped: list[str]
    fingerprint: str
    from_cache: bool

    def inputs(self) -> "Tensor":
        """Returns the images as a tensor over the same memory."""
        import torch

        return torch.from_numpy(self.images)


def cache_root() -> Path:
    """Returns the cache folder: TLTOOL_CACHE, or tltool in XDG_CACHE_HOME, or ~/.cache/tltool."""
    if folder := os.environ.get("TLTOOL_CACHE"):
        return Path(folder).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "tltool"


def load_arrays(
    reader: Reader,
    preprocessing: Preprocessing,
    *,
    on_error: Literal["raise", "skip"] = "raise",
    cache: bool = True,
    progress: Progress | None = None,
) -> Arrays:
    """Returns all images of a reader at the size that a backbone takes.

    The first call decodes and fills a cache folder; later ones, also of other processes, map it
    into memory and never call `reader.read`. Mean and standard deviation are left to the caller.

    Args:
        reader: Gives the table and its fingerprint.
        preprocessing: Size, channels, interpolation and crop.
        on_error: A corrupt image stops everything (``raise``) or is left out (``skip``).
        cache: False decodes into memory and leaves the disk alone.
        progress: Told now and then how far decoding is.

    Raises:
        UserError: Corrupt images, a line each; or what the reader raises.
        RunError: The cache folder cannot be written.
    """
    fingerprint = reader.fingerprint()
    folder = cache_root() / "decoded" / _key(fingerprint, preprocessing, on_error)
    if cache and (found := _open(folder)):
        return found
    job = _Job(reader.read(), preprocessing, on_error, fingerprint, progress)
    if not cache:
        return job.decode_into_memory()
    try:
        return _build(job, folder)
    except OSError as error:
        raise RunError(
            f"cannot write decoded images below {cache_root()} ({error.strerror or error}): free "
            f"space, set TLTOOL_CACHE=FOLDER on another disk, or dataset.cache=false"
        ) from error


def _key(fingerprint: str, to: Preprocessing, on_error: str) -> str:
    return digest(
        FORMAT, fingerprint, to.size, to.channels, to.interpolation, to.crop_pct, on_error
    )


class _Job:
    """One pass over a table; `bad` fills up while batches are drawn."""

    def __init__(
        self,
        table: "Dataset",
        preprocessing: Preprocessing,
        on_error: Literal["raise", "skip"],
        fingerprint: str,
        progress: Progress | None,
    ) -> None:
        self.table = table
        self.preprocessing = preprocessing
        self.on_error = on_error
        self.fingerprint = fingerprint
        self.progress = progress
        self.bad: dict[int, str] = {}

    def shape(self, count: int) -> tuple[int, int, int, int]:
        """Returns (N, C, H, W) for so many images."""
        to = self.preprocessing
        return count, to.channels, to.size, to.size

    def decode_into_memory(self) -> Arrays:
        images = np.empty(self.shape(len(self.table)), dtype=np.uint8)
        count = 0
        for batch in self.batches():
            images[count : count + len(batch)] = batch
            count += len(batch)
        return self.arrays(images[:count])

    def batches(self) -> Iterator[npt.NDArray[np.uint8]]:
        """Yields all good images in the order of the table, each batch (n, C, H, W).

        Raises:
            UserError: At the end, if there were corrupt images that may not be skipped.
        """
        from datasets import Image

        encoded = self.table.select_columns(["image"]).cast_column("image", Image(decode=False))
        total = len(encoded)
        with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
            for start in range(0, total, CHUNK):
                files = encoded[start : start + CHUNK]["image"]
                images = list(pool.map(self._decode, files))
                self.bad |= {start + i: x for i, x in enumerate(images) if isinstance(x, str)}
                if good := [image for image in images if not isinstance(image, str)]:
                    yield np.stack(good)
                if self.progress:
                    self.progress(start + len(files), total)
        if self.bad and (self.on_error == "raise" or len(self.bad) == total):
            raise self._corrupt(encoded)

    def _decode(self, file: dict[str, Any]) -> npt.NDArray[np.uint8] | str:
        """Returns the image, or why there is none."""
        from PIL import UnidentifiedImageError

        try:
            content = file["path"] if file["bytes"] is None else io.BytesIO(file["bytes"])
            return decode_image(content, self.preprocessing)
        except UnidentifiedImageError:  # its message is an address in memory
            return "not an image that Pillow knows"
        except Exception as error:  # on broken bytes Pillow raises almost anything
            return (str(error) or type(error).__name__).splitlines()[0]

    def _corrupt(self, encoded: "Dataset") -> UserError:
        lines = []
        for row in list(self.bad)[:NAMED]:
            file = encoded[row]["image"]
            name = file["path"] if file["bytes"] is None else self.table["path"][row]
            lines.append(
                f"corrupt image {name}: {self.bad[row]}; dataset.on_error=skip leaves it out"
            )
        if len(self.bad) > NAMED:
            lines.append(f"and {len(self.bad) - NAMED} more corrupt images")
        if len(self.bad) == len(self.table):
            lines.append("no image could be read")
        return UserError(*lines)

    def arrays(self, images: npt.NDArray[np.uint8]) -> Arrays:
        """Returns the good images with their rows of the table."""
        from datasets import ClassLabel

        good = np.array([row not in self.bad for row in range(len(self.table))])
        paths = self.table["path"][:]
        return Arrays(
            images=images,
            labels=np.array(self.table["label"][:], dtype=np.int64)[good],
            domains=np.array(self.table["domain"][:], dtype=np.str_)[good],
            splits=np.array(self.table["split"][:], dtype=np.str_)[good],
            paths=[path for row, path in enumerate(paths) if row not in self.bad],
            class_names=list(self.table.features["label"].names),
            columns={
                name: (np.array(self.table[name][:], dtype=np.int64)[good], tuple(feature.names))
                for name, feature in self.table.features.items()
                if name != "label" and isinstance(feature, ClassLabel)
            },
            skipped=[paths[row] for row in sorted(self.bad)],
            fingerprint=self.fingerprint,
            from_cache=False,
        )


def _build(job: _Job, folder: Path) -> Arrays:
    """Fills a folder beside `folder`, then gives it that name in one step."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".building-") as temporary:
        built = Path(temporary, "built")
        built.mkdir()
        with (built / "images.npy").open("wb") as file:
            # Written, not mapped: on a full disk writing raises, a mapped page kills the process.
            _write_header(file, job.shape(len(job.table)))
            for batch in job.batches():
                file.write(batch.data)
            file.seek(0)
            _write_header(file, job.shape(len(job.table) - len(job.bad)))
        _write_rows(built, job.arrays(np.load(built / "images.npy", mmap_mode="r")))
        arrays = _open(built)
        if arrays is None:
            raise OSError(f"{built} does not read back as it was written")
        _publish(built, folder)
        return replace(arrays, from_cache=False)


def _write_header(file: IO[bytes], shape: tuple[int, ...]) -> None:
    """Writes a .npy header; numpy leaves room in it, so that fewer rows need the same length."""
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)


def _write_rows(folder: Path, arrays: Arrays) -> None:
    for name in ("labels", "domains", "splits"):
        np.save(folder / f"{name}.npy", getattr(arrays, name))
    rows = {key: getattr(arrays, key) for key in ("paths", "class_names", "skipped", "fingerprint")}
    rows["columns"] = {name: names for name, (_, names) in arrays.columns.items()}
    with (folder / "columns.npz").open("wb") as file:
        # numpy takes the arrays as keywords, and "allow_pickle" is its only other one.
        np.savez(file, **{name: values for name, (values, _) in arrays.columns.items()})  # type: ignore[arg-type]
    (folder / "rows.json").write_text(json.dumps(rows))
    sizes = {name: (folder / name).stat().st_size for name in FILES}
    (folder / "sizes.json").write_text(json.dumps(sizes))


def _publish(built: Path, folder: Path) -> None:
    if folder.exists() and _open(folder) is None:
        os.rename(folder, built.with_name("damaged"))  # removed together with the temporary folder
    try:
        os.rename(built, folder)
    except OSError:
        if _open(folder) is None:  # else another process was faster, with the same content
            raise


def _open(folder: Path) -> Arrays | None:
    """Maps a cache folder into memory; None where it is missing or damaged."""
    try:
        sizes = json.loads((folder / "sizes.json").read_text())
        if any((folder / name).stat().st_size != sizes[name] for name in FILES):
            return None
        rows = json.loads((folder / "rows.json").read_text())
        with np.load(folder / "columns.npz", allow_pickle=False) as values:
            columns = {name: (values[name], tuple(n)) for name, n in rows.pop("columns").items()}
        return Arrays(
            images=_map(folder / "images.npy"),
            labels=np.load(folder / "labels.npy"),
            domains=np.load(folder / "domains.npy"),
            splits=np.load(folder / "splits.npy"),
            columns=columns,
            from_cache=True,
            **rows,
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _map(path: Path) -> npt.NDArray[np.uint8]:
    """Maps a .npy file copy-on-write: torch warns about arrays that it may not write to."""
    try:
        return cast("npt.NDArray[np.uint8]", np.load(path, mmap_mode="c"))
    except OSError as error:
        if error.errno != errno.ENOMEM:  # Linux refuses copy-on-write beyond all memory
            raise
        return cast("npt.NDArray[np.uint8]", np.load(path, mmap_mode="r"))
