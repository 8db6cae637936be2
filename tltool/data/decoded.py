"""Images as they are kept: decoded, at the size that a backbone takes."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np
from numpy.typing import NDArray

from tltool.data.decode import decode_image
from tltool.data.preprocessing import Preprocessing
from tltool.data.store import Array, Store, map_array, write_header

if TYPE_CHECKING:
    from datasets import Dataset


class Decoded(Store):
    """Pixels (N, C, H, W) of uint8; mean and standard deviation are left to the batches.

    Args:
        preprocessing: Size, channels, interpolation and crop.
    """

    folder: ClassVar[str] = "decoded"
    noun: ClassVar[str] = "image"
    files: ClassVar[tuple[str, ...]] = ("images.npy",)

    def __init__(self, preprocessing: Preprocessing) -> None:
        self.preprocessing = preprocessing

    def key(self) -> list[object]:
        """Returns what changes pixels."""
        to = self.preprocessing
        return [to.size, to.channels, to.interpolation, to.crop_pct]

    def items(self, table: Dataset) -> Sequence[Any]:
        """Returns the column ``image``: files as they are, with ``path`` or ``bytes``."""
        from datasets import Image

        files = table.select_columns(["image"]).cast_column("image", Image(decode=False))
        return cast(Sequence[Any], files["image"])

    def encode(self, items: Sequence[Any]) -> list[Array | str]:
        """Returns the pixels of each image, or why there are none."""
        with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
            return list(pool.map(self._decode, items))

    def _decode(self, file: dict[str, Any]) -> Array | str:
        from PIL import UnidentifiedImageError

        try:
            content = file["path"] if file["bytes"] is None else io.BytesIO(file["bytes"])
            return decode_image(content, self.preprocessing)
        except UnidentifiedImageError:  # its message is an address in memory
            return "not an image that Pillow knows"
        except Exception as error:  # on broken bytes Pillow raises almost anything
            return (str(error) or type(error).__name__).splitlines()[0]

    def name(self, item: Any) -> str | None:
        """Returns the path of an image that is a file."""
        return str(item["path"]) if item["bytes"] is None else None

    def gather(self, chunks: Iterator[list[Array]], most: int) -> NDArray[np.uint8]:
        """Returns the pixels."""
        images = np.empty(self._shape(most), dtype=np.uint8)
        count = 0
        for chunk in chunks:
            for image in chunk:
                images[count] = image
                count += 1
        return images[:count]

    def write(self, chunks: Iterator[list[Array]], most: int, folder: Path) -> None:
        """Writes the pixels: on a full disk writing raises, a mapped page kills the process."""
        count = 0
        with (folder / "images.npy").open("wb") as file:
            write_header(file, np.uint8, self._shape(most))
            for chunk in chunks:
                if chunk:
                    file.write(np.stack(chunk).data)
                    count += len(chunk)
            file.seek(0)
            write_header(file, np.uint8, self._shape(count))

    def open(self, folder: Path) -> NDArray[np.uint8]:
        """Maps the pixels."""
        return map_array(folder / "images.npy")

    def _shape(self, count: int) -> tuple[int, int, int, int]:
        to = self.preprocessing
        return count, to.channels, to.size, to.size
