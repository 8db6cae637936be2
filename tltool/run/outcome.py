"""What a trained network scores, and what the run folder keeps of it."""

import csv
import io
import json
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from tltool.data.table import Scale
from tltool.errors import UserError
from tltool.evaluation.base import Scores
from tltool.learner import Learner
from tltool.run.build import Parts
from tltool.run.folder import MODEL, RunFolder
from tltool.strategies.base import DataSpec

PREDICTIONS = "predictions.npz"


def save_predictions(folder: RunFolder, scores: Scores) -> None:
    """Writes labels, what is predicted and its scores on every split, and what each unit scored."""
    arrays: dict[str, NDArray[Any]] = {f"units/{name}": u for name, u in scores.units.items()}
    for split, predicted in scores.predictions.items():
        arrays |= {
            f"{split}/labels": predicted.labels,
            f"{split}/predicted": predicted.predicted,
            f"{split}/scores": predicted.scores,
        }
    for split, estimated in scores.estimates.items():
        arrays |= {
            f"{split}/labels": estimated.labels,
            f"{split}/predicted": estimated.predicted,
        }
    # numpy takes the arrays as keywords, and "file" is its only other one.
    folder.write(PREDICTIONS, lambda file: np.savez_compressed(file, **arrays))  # type: ignore[arg-type]


def load_units(run: Path, metric: str) -> NDArray[np.float64] | None:
    """Returns what each unit of a finished run scored ``(N,)``; None if it has no such metric."""
    with np.load(run / PREDICTIONS, allow_pickle=False) as arrays:
        name = f"units/{metric}"
        return arrays[name] if name in arrays.files else None


def load_predicted(run: Path, split: str) -> NDArray[np.int64] | None:
    """Returns the classes that a finished run predicted on a split ``(N,)``; None for none."""
    with np.load(run / PREDICTIONS, allow_pickle=False) as arrays:
        name = f"{split}/predicted"
        return arrays[name] if name in arrays.files else None


def main_metric(run: Path) -> str:
    """Returns the metric that a finished run is about, the first one that it has units of.

    Raises:
        UserError: There is none.
    """
    with np.load(run / PREDICTIONS, allow_pickle=False) as arrays:
        found = [name for name in arrays.files if name.startswith("units/")]
    if not found:
        raise UserError(f"{run} scored no labelled test examples: type --metric NAME")
    return str(found[0].removeprefix("units/"))


def save_split(folder: RunFolder, parts: Parts) -> None:
    """Writes which image is in which split, and which target labels are learned from, if any."""
    of_row = {i: key for key, rows in parts.table.rows.items() for i in rows.tolist()}
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    known = set(parts.table.known.tolist())
    writer.writerow(("domain", "split", "path", *(["target_label"] if known else [])))
    for i, path in enumerate(parts.arrays.paths):
        domain, split = of_row.get(i) or (parts.arrays.domains[i], "left out")
        used = ["used" if i in known else ""] if known else []
        writer.writerow((domain, split, path, *used))
    folder.write_text("splits.csv", text.getvalue())


def save_model(folder: RunFolder, parts: Parts) -> None:
    """Exports network and strategy, with what is needed to use them."""
    state = {name: t.contiguous() for name, t in parts.model.learner.state_dict().items()}
    about = {
        "spec": json.dumps(asdict(parts.spec)),
        "preprocessing": json.dumps(parts.model.backbone.preprocessing.describe()),
        "scale": json.dumps(parts.table.scale and asdict(parts.table.scale)),
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
    spec = _about(run, "spec")
    known = {one.name for one in fields(DataSpec)}
    return DataSpec(**{key: _tuples(value) for key, value in spec.items() if key in known})


def exported_scale(run: Path) -> Scale | None:
    """Returns the scale of a run's labels; None where those are classes.

    Raises:
        UserError: The run exported nothing, or the file is damaged.
    """
    found = _about(run, "scale")
    return Scale(**found) if found else None


def _about(run: Path, key: str) -> Any:
    try:
        with safe_open(run / MODEL, framework="pt") as file:
            return json.loads(file.metadata().get(key, "null"))
    except (OSError, SafetensorError) as error:
        raise UserError(
            f"{run} has no usable {MODEL}: finish it with `tltool train --resume {run}`"
        ) from error


def _tuples(value: Any) -> Any:
    """Returns what JSON held as lists as the tuples that they were."""
    if isinstance(value, dict):
        return {key: _tuples(one) for key, one in value.items()}
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
