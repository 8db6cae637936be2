"""Convert once: every example of a reader as a backbone takes it, kept on disk for the next run."""

import json
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from tltool.data.preprocessing import Conversion
from tltool.data.readers.base import Reader, digest
from tltool.data.store import Array, Store, as_inputs
from tltool.errors import RunError, UserError

if TYPE_CHECKING:
    from datasets import Dataset

    from tltool.data.table import Inputs

FORMAT = 2  # of a cache folder, and of how a `Store` makes what is in it: raise it to build anew
CHUNK = 512  # examples converted between two writes
NAMED = 10  # examples that cannot be used named before the rest is only counted
FILES = ("labels.npy", "domains.npy", "splits.npy", "columns.npz", "rows.json")

Progress = Callable[[int, int], None]
"""Is called with examples done and examples in all."""


@dataclass(frozen=True)
class Arrays:
    """All examples of a reader.

    Args:
        stored: Images (N, C, H, W) of uint8, or `tltool.data.tokens.Tokens`; memory-mapped where
            they lie in the cache, whose files never change.
        labels: (N,) of int64, -1 where unknown; or numbers, of float64, NaN where unknown.
        domains: (N,) of ``source`` or ``target``.
        splits: (N,) of ``train``, ``val``, ``test`` or an empty string.
        paths: N names, each of one row within its domain.
        class_names: In the order of the labels; none where those are numbers.
        columns: What else is known of each example, by name: values (N,) of int64, -1 where
            unknown, and what each value is called.
        skipped: Names of the examples that cannot be used and were left out.
        fingerprint: The reader's.
        from_cache: Whether nothing had to be converted.
    """

    stored: Any
    labels: npt.NDArray[Any]
    domains: npt.NDArray[np.str_]
    splits: npt.NDArray[np.str_]
    paths: list[str]
    class_names: list[str]
    columns: dict[str, tuple[npt.NDArray[np.int64], tuple[str, ...]]]
    skipped: list[str]
    fingerprint: str
    from_cache: bool

    def inputs(self) -> "Inputs":
        """Returns the stored examples as a table takes them, over the same memory."""
        return as_inputs(self.stored)


def cache_root() -> Path:
    """Returns the cache folder: TLTOOL_CACHE, or tltool in XDG_CACHE_HOME, or ~/.cache/tltool."""
    if folder := os.environ.get("TLTOOL_CACHE"):
        return Path(folder).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "tltool"


def load_arrays(
    reader: Reader,
    conversion: Conversion,
    *,
    on_error: Literal["raise", "skip"] = "raise",
    cache: bool = True,
    progress: Progress | None = None,
) -> Arrays:
    """Returns all examples of a reader as a backbone's batches are made from.

    The first call converts and fills a cache folder; later ones, also of other processes, map it
    into memory and never call `reader.read`.

    Args:
        reader: Gives the table and its fingerprint.
        conversion: Of the backbone.
        on_error: An example that cannot be used stops everything (``raise``) or is left out
            (``skip``).
        cache: False converts into memory and leaves the disk alone.
        progress: Told now and then how far it is.

    Raises:
        UserError: Examples that cannot be used, a line each; or what the reader raises.
        RunError: The cache folder cannot be written.
    """
    fingerprint, store = reader.fingerprint(), conversion.store()
    folder = cache_root() / store.folder / digest(FORMAT, fingerprint, *store.key(), on_error)
    if cache and (found := _open(folder, store)):
        return found
    job = _Job(reader.read(), store, on_error, fingerprint, progress)
    if not cache:
        stored = store.gather(job.chunks(), len(job.table))
        return job.arrays(stored)
    try:
        return _build(job, folder)
    except OSError as error:
        raise RunError(
            f"cannot write what was read below {cache_root()} ({error.strerror or error}): free "
            f"space, set TLTOOL_CACHE=FOLDER on another disk, or dataset.cache=false"
        ) from error


class _Job:
    """One pass over a table; `bad` fills up while chunks are drawn."""

    def __init__(
        self,
        table: "Dataset",
        store: Store,
        on_error: Literal["raise", "skip"],
        fingerprint: str,
        progress: Progress | None,
    ) -> None:
        self.table = table
        self.store = store
        self.on_error = on_error
        self.fingerprint = fingerprint
        self.progress = progress
        self.bad: dict[int, str] = {}

    def chunks(self) -> Iterator[list[Array]]:
        """Yields what is stored of all good examples, in the order of the table.

        Raises:
            UserError: At the end, if there were bad examples that may not be skipped.
        """
        items, total = self.store.items(self.table), len(self.table)
        names = self.table["path"]
        known = self.table["problem"][:] if "problem" in self.table.features else [""] * total
        for start in range(0, total, CHUNK):
            rows = range(start, min(start + CHUNK, total))
            self.bad |= {row: f"bad row {names[row]}: {known[row]}" for row in rows if known[row]}
            chunk = zip(rows, items[start : rows.stop], strict=True)
            usable = [(row, item) for row, item in chunk if not known[row]]
            encoded = self.store.encode([item for _, item in usable])
            for (row, item), one in zip(usable, encoded, strict=True):
                if isinstance(one, str):
                    name = self.store.name(item) or names[row]
                    self.bad[row] = f"corrupt {self.store.noun} {name}: {one}"
            yield [one for one in encoded if not isinstance(one, str)]
            if self.progress:
                self.progress(rows.stop, total)
        if self.bad and (self.on_error == "raise" or len(self.bad) == total):
            raise self._refusal()

    def _refusal(self) -> UserError:
        bad = [self.bad[row] for row in sorted(self.bad)]
        lines = [f"{line}; dataset.on_error=skip leaves it out" for line in bad[:NAMED]]
        if len(bad) > NAMED:
            lines.append(f"and {len(bad) - NAMED} more: {len(bad)} of {len(self.table)} examples")
        if len(bad) == len(self.table):
            lines.append("no example can be used")
        return UserError(*lines)

    def arrays(self, stored: Any) -> Arrays:
        """Returns the good examples with their rows of the table."""
        from datasets import ClassLabel

        good = np.array([row not in self.bad for row in range(len(self.table))])
        label = self.table.features["label"]
        classes = isinstance(label, ClassLabel)
        paths = self.table["path"][:]
        return Arrays(
            stored=stored,
            labels=np.array(self.table["label"][:], np.int64 if classes else np.float64)[good],
            domains=np.array(self.table["domain"][:], dtype=np.str_)[good],
            splits=np.array(self.table["split"][:], dtype=np.str_)[good],
            paths=[path for row, path in enumerate(paths) if row not in self.bad],
            class_names=list(label.names) if classes else [],
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
        job.store.write(job.chunks(), len(job.table), built)
        _write_rows(built, job.arrays(job.store.open(built)), job.store)
        arrays = _open(built, job.store)
        if arrays is None:
            raise OSError(f"{built} does not read back as it was written")
        _publish(built, folder, job.store)
        return replace(arrays, from_cache=False)


def _write_rows(folder: Path, arrays: Arrays, store: Store) -> None:
    for name in ("labels", "domains", "splits"):
        np.save(folder / f"{name}.npy", getattr(arrays, name))
    rows = {key: getattr(arrays, key) for key in ("paths", "class_names", "skipped", "fingerprint")}
    rows["columns"] = {name: names for name, (_, names) in arrays.columns.items()}
    with (folder / "columns.npz").open("wb") as file:
        # numpy takes the arrays as keywords, and "allow_pickle" is its only other one.
        np.savez(file, **{name: values for name, (values, _) in arrays.columns.items()})  # type: ignore[arg-type]
    (folder / "rows.json").write_text(json.dumps(rows))
    sizes = {name: (folder / name).stat().st_size for name in (*store.files, *FILES)}
    (folder / "sizes.json").write_text(json.dumps(sizes))


def _publish(built: Path, folder: Path, store: Store) -> None:
    if folder.exists() and _open(folder, store) is None:
        os.rename(folder, built.with_name("damaged"))  # removed together with the temporary folder
    try:
        os.rename(built, folder)
    except OSError:
        if _open(folder, store) is None:  # else another process was faster, with the same content
            raise


def _open(folder: Path, store: Store) -> Arrays | None:
    """Maps a cache folder into memory; None where it is missing or damaged."""
    try:
        sizes = json.loads((folder / "sizes.json").read_text())
        if any((folder / name).stat().st_size != sizes[name] for name in (*store.files, *FILES)):
            return None
        rows = json.loads((folder / "rows.json").read_text())
        with np.load(folder / "columns.npz", allow_pickle=False) as values:
            columns = {name: (values[name], tuple(n)) for name, n in rows.pop("columns").items()}
        return Arrays(
            stored=store.open(folder),
            labels=np.load(folder / "labels.npy"),
            domains=np.load(folder / "domains.npy"),
            splits=np.load(folder / "splits.npy"),
            columns=columns,
            from_cache=True,
            **rows,
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
