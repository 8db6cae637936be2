"""Uses a trained run: scores it again, or predicts new images."""

import csv
import io
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console

from tltool.config.instantiate import check_needs
from tltool.data.decode import decode_image
from tltool.data.readers import checked_reader
from tltool.data.readers.image_folder import EXTENSIONS
from tltool.errors import UserError
from tltool.run.build import build
from tltool.run.console import tracked
from tltool.run.fit import stage_inputs
from tltool.run.folder import RunFolder, read_config
from tltool.run.model import Model, ModelBuilder, with_random_weights
from tltool.run.outcome import exported_spec, load_model
from tltool.run.subject import evaluation_of
from tltool.strategies.base import DataSpec

# Suffix -> module of pyarrow, and its reader.
TABLES = {
    ".csv": ("csv", "read_csv"),
    ".parquet": ("parquet", "read_table"),
    ".jsonl": ("json", "read_json"),
}
BATCH = 64  # images; larger ones are slower on a CPU


def evaluate_run(run: Path, console: Console) -> dict[str, Any]:
    """Returns the results of a run with its metrics computed anew.

    Raises:
        UserError: It is no finished run, or its data are gone.
    """
    config = read_config(run)
    check_needs(config)
    exported_spec(run)  # before data are decoded: is there anything to score?
    with tracked(console, "decoding") as update:
        reader = checked_reader(config["dataset"])
        parts = build(with_random_weights(config), reader, lambda i, n: update(i, n, ""))
    load_model(run, parts.model.learner)
    with stage_inputs(parts, parts.model.strategy.stages()[-1], console):
        metrics = evaluation_of(parts).final().metrics
    results = RunFolder(run).read_json("results.json")
    # What was measured between stages cannot be measured again, and stays.
    return results | {"metrics": results.get("metrics", {}) | metrics}


def predict_images(run: Path, path: Path, console: Console) -> tuple[str, int]:
    """Predicts an image, a folder of images, or the images that a table names.

    Returns:
        CSV text with columns path, label and score (of several tasks: label_TASK and score_TASK
        of each), and how many rows it has.

    Raises:
        UserError: It is no finished run, there are no images, or some cannot be read.
    """
    spec = exported_spec(run)
    images = _images(path)
    config = read_config(run)
    model = ModelBuilder(with_random_weights(config)).build(spec)
    load_model(run, model.learner)
    rows: list[dict[str, str]] = []
    with tracked(console, "predicting") as update:
        for start in range(0, len(images), BATCH):
            rows += _predict(model, spec, images[start : start + BATCH])
            update(len(rows), len(images), "")
    text = io.StringIO()
    columns = list(rows[0]) if rows else ["path", "label", "score"]
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue(), len(rows)


def _predict(model: Model, spec: DataSpec, paths: Sequence[Path]) -> list[dict[str, str]]:
    pixels, problems = [], []
    for path in paths:
        try:
            pixels.append(decode_image(path, model.backbone.preprocessing))
        except Exception as error:  # on broken bytes Pillow raises almost anything
            problems.append(f"{path}: cannot be read as an image ({_reason(error)})")
    if problems:
        raise UserError(*problems)
    device = model.hardware.device
    model.learner.to(device).eval()
    with model.hardware.autocast():
        x = model.prepare(torch.from_numpy(np.stack(pixels)).to(device), training=False)
        logits = model.learner.predict_tasks(x)
    rows = [{"path": str(path)} for path in paths]
    for task, of_task in logits.items():
        names, suffix = (
            spec.tasks.get(task, spec.class_names),
            f"_{task}" if len(logits) > 1 else "",
        )
        scores, predicted = of_task.softmax(dim=1).cpu().max(dim=1)
        for row, label, score in zip(rows, predicted.tolist(), scores.tolist(), strict=True):
            row |= {f"label{suffix}": names[label], f"score{suffix}": f"{score:.4f}"}
    return rows


def _images(path: Path) -> list[Path]:
    """Returns the images that a path stands for."""
    if path.suffix.lower() in TABLES:
        return _named_in(path)
    if path.is_file():
        return [path]
    found = sorted(file for file in path.rglob("*") if file.suffix.lower() in EXTENSIONS)
    if not found:
        raise UserError(f"{path}: no images in it ({', '.join(EXTENSIONS)})")
    return found


def _named_in(table: Path) -> list[Path]:
    """Returns the column ``path`` of a table; relative paths are relative to the table."""
    module, function = TABLES[table.suffix.lower()]
    try:
        rows = getattr(import_module(f"pyarrow.{module}"), function)(table)
    except (OSError, ValueError) as error:  # ArrowInvalid is a ValueError
        raise UserError(f"{table}: cannot be read as a table ({_reason(error)})") from error
    if "path" not in rows.column_names:
        raise UserError(f"{table}: a column 'path' wanted, it has {', '.join(rows.column_names)}")
    return [table.parent / str(name) for name in rows["path"].to_pylist()]


def _reason(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
