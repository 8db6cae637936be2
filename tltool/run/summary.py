"""Gathers what report.html shows."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from tltool.config.compose import Resolved, defaults
from tltool.config.difference import difference
from tltool.evaluation.base import Scores
from tltool.evaluation.domains import UNKNOWN
from tltool.report.embedding import embed
from tltool.report.page import Embedding, ReportContent, write_report
from tltool.run.build import Parts
from tltool.run.folder import RunFolder
from tltool.run.subject import subject_of

POINTS = 400  # of each domain in the embedding: more are slower and no clearer


def write_run_report(
    folder: RunFolder,
    resolved: Resolved,
    parts: Parts,
    results: Mapping[str, Any],
    scores: Scores,
    history: Sequence[Mapping[str, float]],
) -> None:
    """Writes report.html into the run folder."""
    if not folder.writes:
        return
    closed = parts.spec.class_names
    shown = {
        split: (predicted.confusion, predicted.class_names or closed)
        for split, predicted in scores.predictions.items()
    }
    opened = (*closed, UNKNOWN)
    names = opened if any(of == opened for _, of in shown.values()) else closed
    content = ReportContent(
        title=parts.config["name"] or f"{results['strategy']} on {results['dataset']}",
        results=dict(results),
        history=[dict(row) for row in history],
        confusion={split: counts for split, (counts, of) in shown.items() if of == names},
        estimates={split: (e.labels, e.predicted) for split, e in scores.estimates.items()},
        class_names=list(names),
        embedding=_embedding(parts),
        changes=difference(resolved.saved(), defaults()),
        record=folder.read_json("record.json"),
    )
    write_report(folder.path / "report.html", content)


def _embedding(parts: Parts) -> Embedding | None:
    """Returns the features of test images of both domains in two dimensions."""
    chosen, domains = [], []
    for domain in ("source", "target"):
        rows = parts.table.rows.get((domain, "test"), np.empty(0, np.int64))
        rows = np.random.default_rng(0).permutation(rows)[:POINTS]
        chosen.append(rows)
        domains += [domain] * len(rows)
    rows = np.concatenate(chosen)
    if len(rows) < 2:
        return None
    features, _ = subject_of(parts).outputs(rows)
    scale, y = parts.table.scale, parts.table.y[torch.from_numpy(rows)]
    labels = y.numpy() if scale is None else scale.restore(y)
    return Embedding(embed(features.numpy(), seed=0), labels, np.array(domains))
