"""How examples of one kind are kept: made once from a table's rows, then mapped into memory."""

from __future__ import annotations

import errno
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, ClassVar, cast

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from datasets import Dataset

    from tltool.data.table import Inputs

Array = NDArray[Any]


class Store(ABC):
    """Makes stored examples and keeps them in files.

    Attributes:
        folder: Below the cache folder.
        noun: What an example is called.
        files: That `write` leaves.
    """

    folder: ClassVar[str]
    noun: ClassVar[str]
    files: ClassVar[tuple[str, ...]]

    @abstractmethod
    def key(self) -> list[object]:
        """Returns what decides the stored examples beside the table, as JSON can hold it."""

    @abstractmethod
    def items(self, table: Dataset) -> Sequence[Any]:
        """Returns the examples of a table as it holds them; slices are lists."""

    @abstractmethod
    def encode(self, items: Sequence[Any]) -> list[Array | str]:
        """Returns what is stored of each example, or why there is nothing."""

    def name(self, item: Any) -> str | None:
        """Returns the name of an example's own file, where it has one."""
        return None

    @abstractmethod
    def gather(self, chunks: Iterator[list[Array]], most: int) -> Any:
        """Returns stored examples in memory.

        Args:
            chunks: What is stored of them.
            most: No more than so many.
        """

    @abstractmethod
    def write(self, chunks: Iterator[list[Array]], most: int, folder: Path) -> None:
        """Writes what `gather` returns into the files, never holding more than a chunk of it."""

    @abstractmethod
    def open(self, folder: Path) -> Any:
        """Returns what `gather` returned, mapped into memory from the files.

        Raises:
            OSError: A file is missing.
            ValueError: A file is damaged.
        """


def as_inputs(stored: Any) -> Inputs:
    """Returns stored examples as a table takes them, over the same memory."""
    import torch

    return torch.from_numpy(stored) if isinstance(stored, np.ndarray) else stored


def write_header(file: IO[bytes], dtype: type[np.generic], shape: tuple[int, ...]) -> None:
    """Writes a .npy header; numpy leaves room in it for a longer first number."""
    header = {"descr": np.dtype(dtype).str, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)


def map_array(path: Path) -> Array:
    """Maps a .npy file copy-on-write: torch warns about arrays that it may not write to."""
    try:
        return cast(Array, np.load(path, mmap_mode="c", allow_pickle=False))
    except OSError as error:
        if error.errno != errno.ENOMEM:  # Linux refuses copy-on-write beyond all memory
            raise
        return cast(Array, np.load(path, mmap_mode="r", allow_pickle=False))
