"""Scores backbones on a dataset without training, and recommends a strategy."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from torch.nn.functional import linear

from tltool.backbones.base import Classifier
from tltool.config.candidates import Candidate, common
from tltool.config.instantiate import instantiate
from tltool.data.readers.base import Reader
from tltool.errors import UserError
from tltool.evaluation import transferability
from tltool.evaluation.advice import Evidence, advise
from tltool.evaluation.verdict import paired_interval
from tltool.hub import offline
from tltool.run.build import Parts, build, same_modality
from tltool.run.console import tracked
from tltool.run.features import frozen_features

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class _Scored:
    """Scores as reported, and for each example 1 where its neighbours got it right, else 0."""

    figures: dict[str, float | None]
    right: NDArray[np.float64]


def recommend(
    candidates: Sequence[Candidate],
    reader: Reader,
    console: Console,
    *,
    most: int,
    at_hand: bool = False,
) -> dict[str, Any]:
    """Scores every candidate on the same labelled training examples, and gives advice.

    Args:
        candidates: They differ in the backbone alone; at least one.
        reader: Checked.
        console: Shows progress.
        most: Training examples that are scored; of more, a part is drawn with the run's seed.
        at_hand: Only candidates that need no download; others are left out, with the reason.

    Returns:
        ``dataset``, ``backbones`` (one each, with scores of its pretrained and of random weights),
        ``left_out`` (reasons by name), ``recommendation`` and ``seconds``; all for JSON.

    Raises:
        UserError: Data that cannot be scored, or no candidate that can be had.
    """
    start = time.monotonic()
    dataset: dict[str, Any] = {}
    found: list[tuple[dict[str, Any], dict[str, Any]]] = []
    refused: dict[str, tuple[str, ...]] = {}
    for candidate in candidates:
        try:
            parts = _build(candidate, reader, console, at_hand)
        except UserError as error:
            if not at_hand:
                raise
            refused[candidate.name] = error.problems
            continue
        rows = _rows(parts, most)
        dataset = {"name": candidate.resolved.choices["dataset"], **_describe(parts, rows)}
        row, similarity = _compare(candidate.name, parts, rows, console)
        recommendation = _advice(dataset, similarity, candidate)
        found.append((row, {"backbone": candidate.name, **recommendation}))
    if not found:
        raise UserError(*common(refused))
    # LogME ranks pretrained backbones; one that only has random weights comes after them.
    _, best = max(
        found,
        key=lambda one: (
            one[0]["pretrained"] is not None,
            (one[0]["pretrained"] or one[0]["from_scratch"])["log_me"],
        ),
    )
    return {
        "dataset": dataset,
        "backbones": [row for row, _ in found],
        "left_out": {name: problems[0] for name, problems in refused.items()},
        "recommendation": best,
        "seconds": round(time.monotonic() - start, 1),
    }


def _build(candidate: Candidate, reader: Reader, console: Console, at_hand: bool) -> Parts:
    config = candidate.resolved.config
    same_modality(reader, config)
    if at_hand:
        with offline():
            instantiate(config["backbone"])  # refused here if it needs a download
    with tracked(console, f"decoding for {candidate.name}") as update:
        return build(config, reader, lambda done, total: update(done, total, ""))


def _rows(parts: Parts, most: int) -> Rows:
    """Returns the labelled training examples; of more than ``most``, a part.

    Raises:
        UserError: There are none, or they are of one class.
    """
    if parts.spec.regression:
        raise UserError("recommend scores classes, and the labels are numbers")
    rows = parts.table.labelled("source", "train")
    if len(np.unique(parts.table.y.numpy()[rows])) < 2:
        raise UserError(
            "recommend scores labelled training examples of at least two classes, and "
            f"this dataset has {len(rows)} of {min(len(rows), 1)}"
        )
    if len(rows) > most:
        drawn = np.random.default_rng(parts.config["seed"]).choice(rows, most, replace=False)
        rows = np.sort(drawn)
    return rows


def _describe(parts: Parts, rows: Rows) -> dict[str, Any]:
    train = parts.table.labelled("source", "train")
    counts = np.bincount(parts.table.y.numpy()[train], minlength=parts.spec.num_classes)
    return {
        "train": len(train),
        "classes": parts.spec.num_classes,
        "per_class": {
            "min": int(counts.min()),
            "median": float(np.median(counts)),
            "max": int(counts.max()),
        },
        "majority": float(counts.max() / len(train)),
        "target_train": parts.spec.sizes.get("target", 0),
        "scored": len(rows),
        "seed": parts.config["seed"],
    }


def _compare(
    name: str, parts: Parts, rows: Rows, console: Console
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Scores a backbone with its weights and with random ones.

    Returns:
        The row of the report, and how the two compare: arguments of `Evidence`.
    """
    backbone = parts.model.backbone
    weights = str(backbone.provenance["weights"])
    pretrained = None
    if weights != "random":
        pretrained = _score(parts, rows, console, backbone.classifier)
        torch.manual_seed(parts.config["seed"])  # the same random weights every time
        backbone.reset()
        parts.model.hardware.arrange(backbone)
    scratch = _score(parts, rows, console, None)
    row = {
        "backbone": name,
        "weights": weights,
        "features": backbone.num_features,
        "pretrained": pretrained and pretrained.figures,
        "from_scratch": scratch.figures,
    }
    best = pretrained or scratch
    similarity = {
        "pretrained": pretrained is not None,
        "knn": float(best.right.mean()),
        "scratch": float(scratch.right.mean()),
        "interval": paired_interval(best.right, scratch.right),
    }
    return row, similarity


def _score(parts: Parts, rows: Rows, console: Console, classifier: Classifier | None) -> _Scored:
    features = frozen_features(parts, console, rows)
    f, y = features.numpy(), parts.table.y.numpy()[rows]
    right = transferability.knn_correct(f, y).astype(np.float64)
    figures: dict[str, float | None] = {
        "knn": float(right.mean()),
        "log_me": transferability.log_me(f, y),
        "h_score": transferability.h_score(f, y),
        "leep": None,
        "nce": None,
    }
    if classifier is not None:
        old = linear(features, classifier.weight, classifier.bias).softmax(dim=1).numpy()
        figures["leep"] = transferability.leep(old, y)
        figures["nce"] = transferability.nce(old.argmax(axis=1), y)
    return _Scored(figures, right)


def _advice(
    dataset: dict[str, Any], similarity: dict[str, Any], chosen: Candidate
) -> dict[str, Any]:
    evidence = Evidence(
        per_class=dataset["per_class"]["median"],
        majority=dataset["majority"],
        unlabelled_target=dataset["target_train"] > 0,
        **similarity,
    )
    advice = advise(evidence)
    typed = [*chosen.overrides, *chosen.others, *advice.options]
    return {
        "rule": advice.rule,
        "reason": advice.reason,
        "strategy": advice.strategy,
        "alternatives": list(advice.alternatives),
        "similarity": {
            **similarity,
            "interval": list(similarity["interval"]),
            "errors_removed": evidence.errors_removed,
            "similar": evidence.similar,
        },
        "large": evidence.large,
        "command": ["tltool", "train", f"strategy={advice.strategy}", *typed],
    }
