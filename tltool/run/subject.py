"""A run's network as evaluations see it."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from tltool.config.instantiate import missing_packages
from tltool.data.feeds import feed_class
from tltool.errors import UserError
from tltool.evaluation import evaluation_class
from tltool.evaluation.base import Evaluation, Subject
from tltool.run.build import Parts
from tltool.run.selection import recorded


def subject_of(parts: Parts) -> Subject:
    """Returns what there is to score; it follows the network while that is trained."""
    device = parts.model.hardware.device

    @contextmanager
    def scoring() -> Iterator[None]:
        parts.model.learner.to(device).eval()
        with torch.inference_mode(), parts.model.hardware.autocast():
            yield

    return Subject(
        net=parts.model.net,
        strategy=parts.model.strategy,
        table=parts.table,
        spec=parts.spec,
        seed=parts.config["seed"],
        batches=lambda rows: parts.datamodule.evaluation_batches(rows, device),
        scoring=scoring,
    )


def evaluation_name(parts: Parts) -> str:
    """Returns the name of what the run is scored by: as typed, or what labels and feed bring."""
    brought = feed_class(parts.model.strategy.feed).evaluation
    return str(parts.config["evaluation"] or ("regression" if parts.spec.regression else brought))


def evaluation_of(parts: Parts) -> Evaluation:
    """Returns what scores a run.

    Raises:
        UserError: It lacks packages, scores other labels, or cannot choose between epochs and was
            asked to.
    """
    name = evaluation_name(parts)
    kind = evaluation_class(name)
    if problem := missing_packages(f"evaluation={name}", kind.needs):
        raise UserError(problem)
    if kind.regression != parts.spec.regression:
        labels, other = ("numbers", "classes") if parts.spec.regression else ("classes", "numbers")
        raise UserError(
            f"evaluation={name} scores {other}, and the labels are {labels}: leave it out"
        )
    if (rules := recorded(parts.config)) and not kind.selects:
        key = "selection" if parts.config["selection"] in rules else "validator"
        raise UserError(
            f"{key}={rules[0]}: evaluation={name} does not choose epochs: type "
            f"{key}={'last' if key == 'selection' else 'null'}"
        )
    return kind(subject_of(parts))
