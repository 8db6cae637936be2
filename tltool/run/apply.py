"""Uses a trained run: scores it again, or predicts new examples."""

import csv
import io
from pathlib import Path
from typing import Any

import torch
from lightning_fabric.utilities import move_data_to_device as to_device
from rich.console import Console

from tltool.config.instantiate import check_needs
from tltool.data.readers import checked_reader
from tltool.data.store import as_inputs
from tltool.data.table import Scale
from tltool.errors import UserError
from tltool.evaluation.domains import UNKNOWN
from tltool.run.build import build
from tltool.run.console import tracked
from tltool.run.examples import Examples, examples_at
from tltool.run.fit import stage_inputs
from tltool.run.folder import RunFolder, read_config
from tltool.run.model import Model, ModelBuilder, with_random_weights
from tltool.run.outcome import exported_scale, exported_spec, load_model
from tltool.run.subject import evaluation_of
from tltool.strategies.base import DataSpec

BATCH = 64  # examples; larger ones are slower on a CPU


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


def predict(run: Path, path: Path, console: Console) -> tuple[str, int]:
    """Predicts images (one, a folder, or those that a table names) or texts (of a table or file).

    Returns:
        CSV text with columns path or text, label and score (of several tasks: label_TASK and
        score_TASK of each; of labels that are numbers no score), and how many rows it has.

    Raises:
        UserError: It is no finished run, there is nothing to predict, or some cannot be read.
    """
    spec = exported_spec(run)
    config = read_config(run)
    model = ModelBuilder(with_random_weights(config)).build(spec)
    load_model(run, model.learner)
    scale = exported_scale(run)
    examples = examples_at(path, model.backbone.modality, config["dataset"])
    rows: list[dict[str, str]] = []
    with tracked(console, "predicting") as update:
        for start in range(0, len(examples.names), BATCH):
            rows += _predict(model, spec, scale, examples, slice(start, start + BATCH))
            update(len(rows), len(examples.names), "")
    text = io.StringIO()
    columns = list(rows[0]) if rows else [examples.column, "label", "score"]
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue(), len(rows)


def _predict(
    model: Model, spec: DataSpec, scale: Scale | None, examples: Examples, some: slice
) -> list[dict[str, str]]:
    store, names = model.backbone.preprocessing.store(), examples.names[some]
    encoded = store.encode(examples.items[some])
    good = [one for one in encoded if not isinstance(one, str)]
    if len(good) < len(encoded):
        pairs = zip(names, encoded, strict=True)
        bad = [(name, one) for name, one in pairs if isinstance(one, str)]
        raise UserError(*(f"corrupt {store.noun} {name}: {reason}" for name, reason in bad))
    inputs = as_inputs(store.gather(iter([good]), len(good)))
    device = model.hardware.device
    model.learner.to(device).eval()
    with model.hardware.autocast():
        x = model.prepare(to_device(inputs[torch.arange(len(good))], device), training=False)
        logits = model.learner.predict_tasks(x)
    rows = [{examples.column: name} for name in names]
    if scale is not None:
        for row, value in zip(rows, scale.restore(logits["label"].squeeze(1)), strict=True):
            row["label"] = f"{value:.6g}"
        return rows
    for task, of_task in logits.items():
        classes = (*spec.tasks.get(task, spec.class_names), UNKNOWN)  # where it rejects
        suffix = f"_{task}" if len(logits) > 1 else ""
        scores, predicted = of_task.softmax(dim=1).cpu().max(dim=1)
        for row, label, score in zip(rows, predicted.tolist(), scores.tolist(), strict=True):
            row |= {f"label{suffix}": classes[label], f"score{suffix}": f"{score:.4f}"}
    return rows
