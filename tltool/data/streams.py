"""Which examples a step sees: a function of seed, role and step, and of nothing else.

That is what makes a resumed run exact, and a run independent of its worker and device counts.
"""

import zlib
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray


class Stream:
    """An endless sequence of batches: one seeded permutation of the pool after the other.

    Every batch is full; one that reaches past the end of a permutation goes on in the next.

    Args:
        pool: Row numbers to draw from.
        batch_size: Rows in a batch.
        seed: The run's seed.
        role: Name of the stream; streams of other names are independent.

    Raises:
        ValueError: The pool is empty or the batch size not positive.
    """

    def __init__(self, pool: NDArray[np.int64], batch_size: int, seed: int, role: str) -> None:
        if len(pool) == 0:
            raise ValueError(f"no rows to draw '{role}' batches from")
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        self.pool, self.batch_size = pool, batch_size
        self._entropy = (seed, zlib.crc32(role.encode()))
        self._passes: dict[int, NDArray[np.int64]] = {}

    def __len__(self) -> int:
        """Batches that one pass over the pool takes, rounded up."""
        return -(-len(self.pool) // self.batch_size)

    def batch(self, step: int) -> NDArray[np.int64]:
        """Returns the rows of batch ``step`` (counted from 0), shape ``(batch_size,)``."""
        return self.rows(step * self.batch_size, (step + 1) * self.batch_size)

    def rows(self, start: int, stop: int) -> NDArray[np.int64]:
        """Returns the rows at these places of the endless sequence, ``stop`` being left out."""
        if start == stop:
            return self.pool[:0]
        size = len(self.pool)
        first, last = start // size, (stop - 1) // size
        rows = np.concatenate([self._permutation(i) for i in range(first, last + 1)])
        return rows[start - first * size : stop - first * size]

    def _permutation(self, number: int) -> NDArray[np.int64]:
        if number not in self._passes:
            self._passes = {k: v for k, v in self._passes.items() if k == number - 1}
            order = np.random.default_rng([*self._entropy, number]).permutation(len(self.pool))
            self._passes[number] = self.pool[order]
        return self._passes[number]


class MixedStream:
    """Draws from several pools in turn, so that each gives equally many, whatever their sizes.

    A batch holds the rows of the first pool, then those of the second, and so on. Where its size
    is no multiple of their number, some give one more, and it is the turn of others in the next.

    Args:
        pools: Row numbers to draw from, by name.
        batch_size: Rows in a batch, over all pools.
        seed: The run's seed.
        role: Name of the stream; each pool's is told from it and the pool's name.
    """

    def __init__(
        self, pools: Mapping[str, NDArray[np.int64]], batch_size: int, seed: int, role: str
    ) -> None:
        self.batch_size = batch_size
        self.streams = [
            Stream(pool, batch_size, seed, f"{role}/{name}") for name, pool in pools.items()
        ]

    def __len__(self) -> int:
        """Batches that one pass over the largest pool takes, rounded up."""
        largest = max(len(stream.pool) for stream in self.streams)
        return -(-largest * len(self.streams) // self.batch_size)

    def batch(self, step: int) -> NDArray[np.int64]:
        """Returns the rows of batch ``step`` (counted from 0), shape ``(batch_size,)``."""
        start, stop, count = step * self.batch_size, (step + 1) * self.batch_size, len(self.streams)
        # Place p of the whole sequence is place p // count of pool p % count.
        return np.concatenate(
            [
                stream.rows(-(-(start - i) // count), -(-(stop - i) // count))
                for i, stream in enumerate(self.streams)
            ]
        )
