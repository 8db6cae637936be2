"""The keys that every `dataset` option shares, beside those of its reader."""

from dataclasses import dataclass
from typing import Literal

from tltool.data.labels import check_amount


@dataclass(frozen=True)
class DataOptions:
    """How tables are split, decoded and batched.

    Args:
        batch_size: Images of one domain in a training batch; several sources share it, equally,
            unless the strategy tells them apart.
        eval_batch_size: Images in an evaluation batch; large ones are slow on a CPU, whose caches
            they overflow.
        augment: Random changes of training images, drawn on whole batches: ``flip``
            (left-right) or ``flip_crop`` (also a shift by up to 1/8 of the side).
        view_area: Smallest part of an image that a view for self-supervised learning shows, in
            (0, 1]; 0.08 in SimCLR on ImageNet, more where images are small.
        view_flip: Every second view is mirrored left to right; not for digits or letters.
        view_jitter: Strength of the views' changes of colour: 0 for none, 1 as in SimCLR on
            ImageNet, 0.5 where images are small.
        view_blur: Part of the views that are blurred, in [0, 1]; 0.5 in SimCLR on ImageNet, none
            where images are small.
        test_fraction: Part of each domain held out as test where the data have no split.
        val_fraction: Part of the source training images held out when `selection` scores on them.
        split_seed: Seed of those two splits; apart from `seed`, so that every seed sees one split.
        split_by: Whether that part is of the examples of each class, or of the classes: what is
            learned from few examples of a class has not been seen in training.
        labels_per_class: Learn from so many labelled source training images of each class (``20``)
            or from such a part of each (``10%``), drawn by `seed` and the same for every strategy;
            the others are left out and counted. Validation images are held out of those drawn. Of
            several sources each gives so many.
        target_labels: Semi-supervised adaptation: learn also from the labels of so many training
            images of each class of the target (``5``), or of such a part of each (``10%``), drawn
            by `seed`. They stand beside the source's, repeated so that about every second label
            that is learned from is the target's, as in Saito et al., Semi-supervised domain
            adaptation via minimax entropy, ICCV 2019; so an epoch is up to twice as long. They are
            adapted to like all others of the target. Controls learn from the same ones.
        source_classes: For study: leave out all source images but those of the classes so named,
            ``[cat,dog]``. The target's images of the others are then of no class of the source.
        target_classes: The same of the target, which then also loses its unlabelled images.
        contexts: Part the source's classes into so many contexts, learned one after the other.
        scenario: What is asked in each: to tell its classes, knowing the context (``task``); the
            same question as in all others (``domain``); to tell all classes (``class``).
        on_error: A corrupt image, or a bad row of a table, stops the run (``raise``) or is left
            out and counted (``skip``).
        cache: Keep decoded images, and texts cut into tokens, on disk for the next run.
    """

    batch_size: int = 64
    eval_batch_size: int = 64
    augment: Literal["none", "flip", "flip_crop"] = "none"
    view_area: float = 0.2
    view_flip: bool = True
    view_jitter: float = 0.5
    view_blur: float = 0.0
    test_fraction: float = 0.2
    val_fraction: float = 0.1
    split_seed: int = 0
    split_by: Literal["example", "class"] = "example"
    labels_per_class: int | str | None = None
    target_labels: int | str | None = None
    source_classes: tuple[str | int, ...] | None = None
    target_classes: tuple[str | int, ...] | None = None
    contexts: int | None = None
    scenario: Literal["task", "domain", "class"] = "class"
    on_error: Literal["raise", "skip"] = "raise"
    cache: bool = True

    def __post_init__(self) -> None:
        if self.labels_per_class is not None:
            check_amount(self.labels_per_class)
        if self.target_labels is not None:
            check_amount(self.target_labels, "target_labels")
        if not 0 < self.view_area <= 1:
            raise ValueError(
                f"dataset.view_area must be above 0 and at most 1, got {self.view_area}"
            )
        if not self.view_jitter >= 0:
            raise ValueError(f"dataset.view_jitter must not be negative, got {self.view_jitter}")
        if not 0 <= self.view_blur <= 1:
            raise ValueError(f"dataset.view_blur must be in [0, 1], got {self.view_blur}")
