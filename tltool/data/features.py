"""Features of a frozen backbone, computed once for (weights, preprocessing, data)."""

import hashlib
import io
import json
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tltool.data.cache import cache_root
from tltool.data.datamodule import DataModule

VERSION = 1  # of what is in the file; another one is never read


def features_path(determined_by: Sequence[object]) -> Path:
    """Returns where features are cached.

    Args:
        determined_by: Everything that they depend on: weights, preprocessing, data, precision.
    """
    key = json.dumps([VERSION, *determined_by])
    return cache_root() / "features" / f"{hashlib.sha256(key.encode()).hexdigest()}.npy"


def cached_features(
    compute: Callable[[Tensor], Tensor],
    datamodule: DataModule,
    device: torch.device,
    path: Path | None,
    progress: Callable[[int, int], None] | None = None,
    rows: NDArray[np.int64] | None = None,
) -> Tensor:
    """Returns features ``(N, D)`` of all N examples, float32, in the table's order.

    Args:
        compute: Maps prepared inputs to features; in eval mode.
        datamodule: Holds the examples.
        device: To compute on.
        path: Read from there if it is whole, else written; ``None`` keeps nothing.
        progress: Told how many of how many are done.
        rows: Of these examples only, in this order.
    """
    rows = np.arange(len(datamodule.table.y)) if rows is None else rows
    total = len(rows)
    if path is not None and (found := _read(path, total)) is not None:
        return found
    parts, done = [], 0
    with torch.inference_mode():
        for x, _ in datamodule.evaluation_batches(rows, device):
            parts.append(compute(x).float().cpu())
            done += len(parts[-1])
            if progress is not None:
                progress(done, total)
    features = torch.cat(parts)
    if path is not None:
        _save(path, features)
    return features


def _read(path: Path, total: int) -> Tensor | None:
    """Returns the cached features; None where the file is missing, damaged or of other data."""
    try:
        features = np.load(path, allow_pickle=False)
    except (OSError, EOFError, ValueError):
        return None
    return torch.from_numpy(features) if features.shape[:1] == (total,) else None


def _save(path: Path, features: Tensor) -> None:
    """Writes the file whole or not at all; a cache that cannot be written is no error."""
    data = io.BytesIO()
    np.save(data, features.numpy(), allow_pickle=False)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(data.getvalue())
        part.replace(path)
    except OSError:
        with suppress(OSError):
            part.unlink(missing_ok=True)
