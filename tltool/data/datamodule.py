"""The one LightningDataModule."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytorch_lightning as pl
from lightning_fabric.utilities import move_data_to_device as to_device
from torch import Tensor
from torch.utils.data import DataLoader

from tltool.data.feeds import feed_class
from tltool.data.feeds.base import Feed
from tltool.data.table import Table
from tltool.data.transforms import Prepare


def _whole(batch: Any) -> Any:
    """A feed's items are whole batches already."""
    return batch


class DataModule(pl.LightningDataModule):
    """Serves one feed's batches from any step on, and every split for evaluation.

    Args:
        table: All examples.
        prepare: Turns stored inputs into the backbone's.
        batch_size: Of a training batch, over all devices.
        eval_batch_size: Of an evaluation batch.
        seed: The run's seed.
    """

    def __init__(
        self, table: Table, prepare: Prepare, batch_size: int, eval_batch_size: int, seed: int
    ) -> None:
        super().__init__()
        self.table, self.prepare = table, prepare
        self.batch_size, self.eval_batch_size, self.seed = batch_size, eval_batch_size, seed
        self.served, self.options = "", dict[str, Any]()
        self.first, self.steps = 0, range(0)

    def feed(self, name: str, options: Mapping[str, Any] | None = None) -> Feed:
        """Returns the feed called ``name`` over the current table, for this device."""
        rank, world = (
            (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        )
        kind: Any = feed_class(name)
        feed: Feed = kind(self.table, self.batch_size, self.seed, rank, world, **(options or {}))
        return feed

    def choose(self, name: str, options: Mapping[str, Any], first: int) -> None:
        """Sets whose batches are served, and the number of the stage's first one.

        A stage goes on in the order of the data where the one before it ended.
        """
        self.served, self.options, self.first = name, dict(options), first

    def serve(self, steps: range) -> None:
        """Sets which of the stage's batches the next epoch holds."""
        self.steps = range(self.first + steps.start, self.first + steps.stop)

    def examples(
        self,
        name: str,
        options: Mapping[str, Any],
        device: Any,
        role: str | None = None,
        shuffled: bool = False,
    ) -> Iterator[Any]:
        """Yields the training examples of a feed's role once, in their order, unchanged.

        Batches are prepared as for evaluation, on the device, and hold what the role's part does.

        Args:
            name: Of the feed.
            options: Of the feed.
            device: Where to.
            role: The feed's first one by default.
            shuffled: In an order drawn by the seed in place of their own.
        """
        feed = self.feed(name, options)
        pools = feed.pools()
        role = role or next(iter(pools))
        rows = np.unique(pools[role])
        if shuffled:
            rows = np.random.default_rng(self.seed).permutation(rows)
        for start in range(0, len(rows), self.eval_batch_size):
            batch = feed.part(role, rows[start : start + self.eval_batch_size])
            yield self._prepare(to_device(batch, device), training=False)

    def train_dataloader(self) -> DataLoader[dict[str, Any]]:
        """Returns the batches set by `serve`; asked for anew by every epoch."""
        on_gpu = self.trainer is not None and self.trainer.strategy.root_device.type == "cuda"
        return DataLoader(
            self.feed(self.served, self.options),
            batch_size=None,
            sampler=self.steps,
            collate_fn=_whole,
            pin_memory=on_gpu,
        )

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Prepares every ``x`` (and list of views) of a batch, on the device."""
        return self._prepare(batch, training=True)

    def _prepare(self, batch: dict[str, Any], training: bool) -> dict[str, Any]:
        prepared: dict[str, Any] = {}
        for key, value in batch.items():
            if key == "x" and isinstance(value, Tensor):
                prepared[key] = self.prepare(value, training)
            elif key == "views":
                prepared[key] = [self.prepare.view(x, training) for x in value]
            elif isinstance(value, dict) and key not in ("x", "y"):
                prepared[key] = self._prepare(value, training)
            else:
                prepared[key] = value
        return prepared

    def evaluation_batches(self, rows: Any, device: Any) -> Iterator[tuple[Any, Tensor]]:
        """Yields prepared inputs and labels of some rows, in their order."""
        for start in range(0, len(rows), self.eval_batch_size):
            x, y = self.table.take(rows[start : start + self.eval_batch_size])
            batch = self._prepare(to_device({"x": x, "y": y}, device), training=False)
            yield batch["x"], batch["y"]
