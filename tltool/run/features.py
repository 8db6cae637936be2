"""Features of the run's backbone with its weights as they are now."""

import hashlib

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from torch import Tensor

from tltool.backbones.base import weights_sha256
from tltool.data.features import cached_features, features_path
from tltool.run.build import Parts
from tltool.run.console import tracked


def frozen_features(
    parts: Parts, console: Console, rows: NDArray[np.int64] | None = None
) -> Tensor:
    """Returns features ``(N, D)``, float32, from the cache if `dataset.cache` keeps one.

    Leaves the network in eval mode.

    Args:
        parts: Of the run.
        console: Shows progress.
        rows: Of these examples only, in this order; all by default.
    """
    model = parts.model
    # The weights as they are now: an earlier stage may have trained them.
    weights = weights_sha256(model.backbone.state_dict())
    backbone = model.backbone
    data = [parts.arrays.fingerprint, backbone.preprocessing.describe(), backbone.variant]
    chosen = [] if rows is None else [hashlib.sha256(rows.tobytes()).hexdigest()]
    path = features_path([weights, *data, len(parts.table.y), model.hardware.precision, *chosen])
    model.net.to(model.hardware.device).eval()
    with tracked(console, "features") as update, model.hardware.autocast():
        return cached_features(
            model.net.features,
            parts.datamodule,
            model.hardware.device,
            path if parts.config["dataset"]["cache"] else None,
            lambda done, total: update(done, total, ""),
            rows,
        )
