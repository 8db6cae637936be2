"""From a resolved configuration to everything that a run needs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tltool.config.instantiate import instantiate_shared
from tltool.config.options import options as options_of
from tltool.config.signature import class_attribute
from tltool.data.cache import Arrays, load_arrays
from tltool.data.classes import LabelSets, classes_of
from tltool.data.contexts import in_contexts
from tltool.data.datamodule import DataModule
from tltool.data.labels import draw_labels
from tltool.data.numbers import standardised, strata
from tltool.data.options import DataOptions
from tltool.data.readers.base import DOMAIN_NAME, ONLY_IN_TARGET, Reader
from tltool.data.splits import assign_splits, hold_out_validation
from tltool.data.table import DOMAIN, GROUP, Column, Table
from tltool.errors import UserError
from tltool.run.labels import check_lessons, check_numbers, known_rows
from tltool.run.model import Model, ModelBuilder
from tltool.run.selection import SPLITS, holds_out, recorded
from tltool.strategies.base import DataSpec

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Parts:
    """Model and data of one run.

    Args:
        config: Resolved and validated.
        model: What is trained.
        reader: Of the data.
        arrays: What it read.
        table: The examples, split.
        spec: What a strategy may know of them.
        datamodule: Serves them.
        label_sets: How the classes of source and target differ; for reporting.
    """

    config: Mapping[str, Any]
    model: Model
    reader: Reader
    arrays: Arrays
    table: Table
    spec: DataSpec
    datamodule: DataModule
    label_sets: LabelSets | None = None


def build(config: Mapping[str, Any], reader: Reader, decoding: Progress | None = None) -> Parts:
    """Builds all parts, the same ones every time for the same configuration.

    Args:
        config: Resolved and validated.
        reader: Checked.
        decoding: Told how many examples of how many are decoded.

    Raises:
        UserError: Parts that do not fit together, or data that cannot be read.
    """
    same_modality(reader, config)
    builder = ModelBuilder(config)
    options: DataOptions = instantiate_shared("dataset", config["dataset"])
    if options.batch_size % builder.hardware.devices:
        raise UserError(
            f"dataset.batch_size={options.batch_size}: it is shared equally by hardware.devices="
            f"{builder.hardware.devices}, so type a multiple of that"
        )
    if reader.regression:
        check_numbers(builder.strategy, options)
    arrays = load_arrays(
        reader,
        builder.backbone.preprocessing,
        on_error=options.on_error,
        cache=options.cache,
        progress=decoding,
    )
    classes = classes_of(arrays, options.source_classes, options.target_classes)
    columns = {name: one for name, one in arrays.columns.items() if name != ONLY_IN_TARGET}
    arrays = replace(
        arrays, labels=classes.labels, class_names=list(classes.names), columns=columns
    )
    splits = np.full(arrays.splits.shape, "", dtype="<U5")  # of what is left out, too
    splits[classes.kept] = assign_splits(
        strata(arrays.labels[classes.kept]),
        arrays.domains[classes.kept],
        arrays.splits[classes.kept],
        options.test_fraction,
        options.split_seed,
        options.split_by == "class",
        None if (sources := _sources(arrays)) is None else sources[classes.kept],
    )
    table = _table(arrays, splits, config, options)
    if options.contexts is not None:
        table = in_contexts(table, options.contexts, options.scenario, config["seed"])
    if reader.regression:
        table = standardised(table)
    spec = _spec(table)
    model = builder.build(spec)
    if options.target_labels is not None:
        check_lessons(model.strategy, len(table.sources))
    datamodule = DataModule(
        table, model.prepare, options.batch_size, options.eval_batch_size, config["seed"]
    )
    return Parts(config, model, reader, arrays, table, spec, datamodule, classes.sets)


def same_modality(reader: Reader, config: Mapping[str, Any]) -> None:
    """Checks, without loading anything, that a backbone takes what a dataset holds.

    Raises:
        UserError: It does not.
    """
    takes = class_attribute(config["backbone"]["_target_"], "modality")
    if takes is not None and takes != reader.modality:
        fit = [one.name for one in options_of("backbone") if reader.modality in one.modalities]
        raise UserError(
            f"the dataset holds {reader.modality}, the backbone takes {takes}: type "
            f"{' or '.join(f'backbone={name}' for name in fit)}"
        )


def _table(
    arrays: Arrays, splits: NDArray[np.str_], config: Mapping[str, Any], options: DataOptions
) -> Table:
    rows = {
        (str(domain), str(split)): np.flatnonzero((arrays.domains == domain) & (splits == split))
        for domain in np.unique(arrays.domains)
        for split in np.unique(splits[arrays.domains == domain])
        if split
    }
    table = Table(
        arrays.inputs(),
        torch.from_numpy(arrays.labels),
        rows,
        tuple(arrays.class_names),
        {
            DOMAIN if name == DOMAIN_NAME else name: Column(torch.from_numpy(v), n)
            for name, (v, n) in arrays.columns.items()
        },
    )
    if options.labels_per_class is not None:
        rows["source", "train"] = _drawn(table, options.labels_per_class, config["seed"])
    known = known_rows(arrays, rows, options.target_labels, config["seed"])
    if holds_out(config) and ("source", "val") not in rows:
        rows["source", "train"], rows["source", "val"] = hold_out_validation(
            strata(arrays.labels),
            rows["source", "train"],
            options.val_fraction,
            options.split_seed,
            options.split_by == "class",
            _sources(arrays),
        )
    table = replace(table, known=known)
    _can_be_scored(table, config)
    return table


def _can_be_scored(table: Table, config: Mapping[str, Any]) -> None:
    """Refuses a rule that scores on examples of which there are none."""
    selection, all_of_them = config["selection"], config["validator"] == "all"
    for rule in recorded(config):
        key, way_out = ("validator", "leave it out of validator")
        if rule == selection:
            key, way_out = "selection", "type selection=last"
        elif all_of_them:
            continue
        if rule in SPLITS and len(table.labelled(*SPLITS[rule])) == 0:
            raise UserError(
                f"{key}={rule} scores on labelled {'/'.join(SPLITS[rule])} examples, and there "
                f"are none: {way_out}"
            )
        if rule not in SPLITS and len(table.rows.get(("target", "train"), ())) == 0:
            raise UserError(f"{key}={rule} scores on the target, and there is none: {way_out}")
        if rule not in SPLITS and table.y.is_floating_point():
            raise UserError(f"{key}={rule} scores classes, and the labels are numbers: {way_out}")


def _sources(arrays: Arrays) -> NDArray[np.int64] | None:
    """Returns which of several sources each example is of; None where there is a single one."""
    return arrays.columns[DOMAIN_NAME][0] if DOMAIN_NAME in arrays.columns else None


def _drawn(table: Table, amount: int | str, seed: int) -> NDArray[np.int64]:
    """Returns the source's training examples that are left, so many of each class and source."""
    labels, drawn, problems = table.y.numpy(), [], []
    for name, rows in table.by_source(table.rows["source", "train"]).items():
        called = name if len(table.sources) > 1 else "the source"
        try:
            names = table.class_names
            drawn.append(draw_labels(labels, rows, amount, seed, names, whose=called))
        except ValueError as error:
            problems.append(f"dataset.{error}")
    if problems:
        raise UserError(*problems)
    return np.sort(np.concatenate(drawn))


def absent_classes(table: Table) -> list[str]:
    """Returns one line where some of several sources have no training example of some class."""
    found = table.by_source(table.labelled("source", "train")) if len(table.sources) > 1 else {}
    lines = []
    for name in table.sources if found else ():
        has = set(table.y.numpy()[found[name]].tolist()) if name in found else set()
        absent = [c for i, c in enumerate(table.class_names) if i not in has]
        if absent:
            lines.append(f"{name} has none of {', '.join(absent)}")
    said = f"not every source has training examples of every class: {'; '.join(lines)}"
    return [said] if lines else []


def _spec(table: Table) -> DataSpec:
    sizes = {domain: len(rows) for (domain, split), rows in table.rows.items() if split == "train"}
    group = table.columns.get(GROUP)
    return DataSpec(
        1 if table.y.is_floating_point() else len(table.class_names),
        table.class_names,
        sizes,
        tasks={name: column.names for name, column in table.tasks.items()},
        groups=group.names if group else (),
        group_counts=_group_counts(table, group) if group else (),
        contexts=len(table.contexts) if table.contexts else 1,
        scenario=table.contexts.scenario if table.contexts else "",
        examples=len(table.y),
        sources=table.sources,
        regression=table.y.is_floating_point(),
    )


def _group_counts(table: Table, group: Column) -> tuple[tuple[int, ...], ...]:
    """Returns training examples of the source by group and class ``(A, C)``."""
    rows = torch.from_numpy(table.labelled("source", "train"))
    of, y = group.values[rows], table.y[rows]
    return tuple(
        tuple(int(((of == a) & (y == c)).sum()) for c in range(len(table.class_names)))
        for a in range(len(group.names))
    )


def counts(parts: Parts) -> dict[str, int]:
    """Returns how many examples each domain's splits have, and how many parameters there are."""
    examples = {f"{d}_{s}": len(rows) for (d, s), rows in sorted(parts.table.rows.items())}
    # In no split: dataset.labels_per_class and the like ask for fewer than there are.
    if left_out := len(parts.table.y) - sum(len(rows) for rows in parts.table.rows.values()):
        examples["left_out_examples"] = left_out
    strategy, net = parts.model.strategy, parts.model.net
    trained = {
        id(parameter): parameter.numel()
        for stage in range(len(strategy.stages()))
        for group in strategy.param_groups(net, stage)
        for parameter in group["params"]
    }
    return {
        **examples,
        "skipped_examples": len(parts.arrays.skipped),
        "trainable_parameters": sum(trained.values()),
        "total_parameters": sum(p.numel() for p in parts.model.learner.parameters()),
    }
