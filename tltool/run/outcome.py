"""What a trained network scores, and what the run folder keeps of it."""

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from tltool.errors import UserError
from tltool.evaluation.domains import Predictions
from tltool.learner import Learner
from tltool.run.build import Parts
from tltool.run.fit import predictions
from tltool.run.folder import RunFolder
from tltool.strategies.base import DataSpec

MODEL = "model.safetensors"
PREDICTIONS = "predictions.npz"


def evaluate_splits(parts: Parts) -> dict[str, Predictions]:
    """Returns the predictions on every labelled split that was not trained on."""
    found: dict[str, Predictions] = {}
    for domain, split in sorted(parts.table.rows):
        predicted = None if split == "train" else predictions(parts, domain, split)
        if predicted is not None:
            found[f"{domain}_{split}"] = predicted
    return found


def metrics_of(found: Mapping[str, Predictions]) -> dict[str, float]:
    """Returns every split's metrics as ``<split>/<metric>``."""
    return {
        f"{split}/{name}": value
        for split, predicted in found.items()
        for name, value in predicted.metrics().items()
    }


def main_split(found: Mapping[str, Predictions]) -> str | None:
    """Returns the split that the run is about: the target's test where there is one."""
    return next((name for name in ("target_test", "source_test") if name in found), None)


def save_predictions(folder: RunFolder, found: Mapping[str, Predictions]) -> None:
    """Writes labels, predicted classes and scores of every split."""
    arrays: dict[str, NDArray[Any]] = {}
    for split, predicted in found.items():
        arrays |= {
            f"{split}/labels": predicted.labels,
            f"{split}/predicted": predicted.predicted,
            f"{split}/scores": predicted.scores,
        }
    # numpy takes the arrays as keywords, and "file" is its only other one.
    folder.write(PREDICTIONS, lambda file: np.savez_compressed(file, **arrays))  # type: ignore[arg-type]


def load_correct(run: Path, split: str) -> NDArray[np.bool_]:
    """Returns which examples of a split a finished run got right ``(N,)``."""
    with np.load(run / PREDICTIONS, allow_pickle=False) as arrays:
        correct: NDArray[np.bool_] = arrays[f"{split}/labels"] == arrays[f"{split}/predicted"]
    return correct


def save_split(folder: RunFolder, parts: Parts) -> None:
    """Writes which image is in which split; with `dataset.split_seed` it is made only once."""
    of_row = {i: key for key, rows in parts.table.rows.items() for i in rows.tolist()}
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("domain", "split", "path"))
    writer.writerows((*of_row[i], path) for i, path in enumerate(parts.arrays.paths))
    folder.write_text("splits.csv", text.getvalue())


def save_model(folder: RunFolder, parts: Parts) -> None:
    """Exports network and strategy, with what is needed to use them."""
    state = {name: t.contiguous() for name, t in parts.model.learner.state_dict().items()}
    about = {
        "spec": json.dumps(asdict(parts.spec)),
        "preprocessing": json.dumps(asdict(parts.model.backbone.preprocessing)),
    }
    data = safetensors.torch.save(state, about)
    folder.write(MODEL, lambda file: file.write(data))


def load_model(run: Path, learner: Learner) -> None:
    """Loads a run's exported weights into a learner of the same configuration.

    Raises:
        UserError: The run exported none, or the file is damaged.
    """
    path = run / MODEL
    if not path.is_file():
        raise UserError(f"{run} has no {MODEL}: finish it with `tltool train --resume {run}`")
    try:
        learner.load_state_dict(safetensors.torch.load_file(path))
    except (SafetensorError, RuntimeError) as error:
        raise UserError(f"{path} does not fit this run: {str(error).splitlines()[0]}") from error


def exported_spec(run: Path) -> DataSpec:
    """Returns what the exported strategy knew of its data.

    Raises:
        UserError: The run exported nothing, or the file is damaged.
    """
    try:
        with safe_open(run / MODEL, framework="pt") as file:
            spec = json.loads(file.metadata()["spec"])
    except (OSError, SafetensorError) as error:
        raise UserError(
            f"{run} has no usable {MODEL}: finish it with `tltool train --resume {run}`"
        ) from error
    return DataSpec(spec["num_classes"], tuple(spec["class_names"]), spec["sizes"])
