"""Texts as they are kept: cut into tokens, one after the other without padding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np
from numpy.typing import NDArray

from tltool.data.preprocessing import Tokenisation
from tltool.data.store import Array, Store, map_array, write_header

if TYPE_CHECKING:
    from datasets import Dataset
    from torch import Tensor


class Tokens:
    """N texts; a batch of them is filled up to the longest one in it.

    Args:
        ids: Tokens of all texts, one text after the other, int32.
        offsets: Where each text begins in them, and where the last one ends ``(N + 1,)``, int64.
        pad: The token that fills a text up.
    """

    def __init__(self, ids: NDArray[np.int32], offsets: NDArray[np.int64], pad: int) -> None:
        self.ids, self.offsets, self.pad = ids, offsets, pad

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: Tensor) -> dict[str, Tensor]:
        """Returns ``input_ids`` and ``attention_mask`` (1: token, 0: fill), (B, L), int64."""
        import torch

        rows = index.numpy()
        starts, lengths = self.offsets[rows], self.offsets[rows + 1] - self.offsets[rows]
        places = np.arange(lengths.max(initial=1))
        mask = places < lengths[:, None]
        ids = np.full(mask.shape, self.pad, dtype=np.int64)
        ids[mask] = self.ids[(starts[:, None] + places)[mask]]
        return {
            "input_ids": torch.from_numpy(ids),
            "attention_mask": torch.from_numpy(mask.astype(np.int64)),
        }


class Tokenised(Store):
    """The tokens of each text, as a backbone's own tokenizer cuts them.

    Args:
        tokenisation: Cuts them.
    """

    folder: ClassVar[str] = "tokens"
    noun: ClassVar[str] = "text"
    files: ClassVar[tuple[str, ...]] = ("ids.npy", "offsets.npy")

    def __init__(self, tokenisation: Tokenisation) -> None:
        self.tokenisation = tokenisation

    def key(self) -> list[object]:
        """Returns the tokenizer and how many tokens are kept."""
        return [self.tokenisation.sha256, self.tokenisation.max_length]

    def items(self, table: Dataset) -> Sequence[Any]:
        """Returns the column ``text``."""
        return cast(Sequence[Any], table["text"])

    def encode(self, items: Sequence[Any]) -> list[Array | str]:
        """Returns the tokens of each text, int32."""
        return [np.array(ids, dtype=np.int32) for ids in self.tokenisation.encode(items)]

    def gather(self, chunks: Iterator[list[Array]], most: int) -> Tokens:
        """Returns the tokens."""
        texts = [text for chunk in chunks for text in chunk]
        ids = np.concatenate([np.empty(0, np.int32), *texts])
        return Tokens(ids, _offsets([len(text) for text in texts]), self.tokenisation.pad)

    def write(self, chunks: Iterator[list[Array]], most: int, folder: Path) -> None:
        """Writes the tokens, then where each text begins."""
        lengths: list[int] = []
        with (folder / "ids.npy").open("wb") as file:
            write_header(file, np.int32, (0,))
            for chunk in chunks:
                file.writelines(text.data for text in chunk)
                lengths += map(len, chunk)
            file.seek(0)
            write_header(file, np.int32, (sum(lengths),))
        np.save(folder / "offsets.npy", _offsets(lengths))

    def open(self, folder: Path) -> Tokens:
        """Maps the tokens."""
        offsets = np.load(folder / "offsets.npy", allow_pickle=False)
        return Tokens(map_array(folder / "ids.npy"), offsets, self.tokenisation.pad)


def _offsets(lengths: Sequence[int]) -> NDArray[np.int64]:
    return np.cumsum([0, *lengths], dtype=np.int64)
