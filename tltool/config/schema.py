"""The keys of a run: those at the top level, and the groups."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

DEFAULT_EPOCHS = 10  # where neither `epochs` nor `steps` is given
# See `tltool.evaluation.validators`; a test holds the two together.
Validator = Literal[
    "entropy",
    "information_maximisation",
    "bnm",
    "snd",
    "dev",
    "importance_weighted",
    "reverse_validation",
    "source_val",
]
Recorded = Validator | Literal["oracle", "all"]


@dataclass(frozen=True)
class Group:
    """A folder of options, of which a run has one.

    Args:
        name: Of the folder, and of the key.
        shared: Target whose parameters every option of the group takes beside its own.
    """

    name: str
    shared: str | None = None


GROUPS = {
    group.name: group
    for group in (
        Group("backbone", shared="tltool.backbones.options.BackboneOptions"),
        Group("strategy"),
        Group("dataset", shared="tltool.data.options.DataOptions"),
        Group("hardware"),
        Group("optimizer"),
        Group("logger"),
    )
}

PRESETS = "experiment"  # the group whose options set any key, and may be left out
SCHEMA = "tltool.config.schema.Experiment"


@dataclass(frozen=True)
class Experiment:
    """A run, as a configuration describes it.

    Args:
        backbone: Network that computes features.
        strategy: How source and target are learned from.
        dataset: What is read, split and batched.
        hardware: Devices and precision.
        optimizer: What steps the weights.
        logger: Where metrics go.
        seed: Of weights, order and augmentation, in [0, 2**32 - 1].
        epochs: Passes over the source training images; 10 where `steps` is not given either.
        steps: Optimiser steps; in place of `epochs`.
        run_dir: The exact run folder; otherwise one under runs/ is made.
        name: Goes into the name of that folder.
        evaluation: What is measured at the end; by default what the strategy's feed brings.
        selection: Which epoch's weights are kept: the last, the one that a validator scores best,
            or, for study only, the best on the target's test labels.
        validator: What else is scored at every epoch and recorded, `all` of them or some.
        collapse: Where all of the target is put into a few classes: say so, end the run, or do not
            look.
        forgetting: Also measure what is lost of what the backbone was trained on before: ``run`` on
            the test data of the run that `backbone.init_from` names; or a folder of images, in it
            a folder for each class, named by its number in the classifier that the weights came
            with.
        controls: Also run the control strategies and say whether the strategy helped.
        report: Write report.html.
        log_every: Steps between two rows of metrics.
        checkpoint_every: Seconds between two checkpoints.
    """

    backbone: dict[str, Any]
    strategy: dict[str, Any]
    dataset: dict[str, Any]
    hardware: dict[str, Any]
    optimizer: dict[str, Any]
    logger: dict[str, Any]
    seed: int = 0
    epochs: int | None = None
    steps: int | None = None
    run_dir: str | None = None
    name: str | None = None
    evaluation: (
        Literal["domains", "representation", "episodes", "tasks", "contexts", "regression"] | None
    ) = None
    selection: Literal["last", "oracle"] | Validator = "last"
    validator: Recorded | Sequence[Recorded] | None = None
    collapse: Literal["warn", "stop", "off"] = "warn"
    forgetting: str | None = None
    controls: bool = False
    report: bool = True
    log_every: int = 10
    checkpoint_every: float = 60.0
