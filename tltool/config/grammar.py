"""What the user types: overrides in Hydra's grammar."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tltool.config.schema import GROUPS, PRESETS
from tltool.config.tree import ConfigTree, one_line
from tltool.errors import UserError

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override
    from omegaconf import DictConfig

SEARCH_PATH = "hydra.searchpath"


@dataclass
class Typed:
    """Overrides, sorted by what they do.

    Args:
        groups: Of an option: `strategy=dann`.
        values: Of a value: `seed=1`, `~strategy.hidden`.
        hydra: Of Hydra's own keys, as typed.
        problems: One line for each that cannot be read.
    """

    groups: list[Override] = field(default_factory=list)
    values: list[Override] = field(default_factory=list)
    hydra: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def texts(self) -> dict[str, str]:
        """Maps each key to what was typed for it."""
        return {one.key_or_group: one.input_line or "" for one in self.groups + self.values}


def open_tree(args: Sequence[str], config_dirs: Sequence[Any]) -> tuple[ConfigTree, list[str]]:
    """Opens the folders of `--config-dir` and of `hydra.searchpath=[…]`.

    Returns:
        The tree, and `args` without `hydra.searchpath`.

    Raises:
        UserError: A folder that does not exist.
    """
    folders, rest = list(config_dirs), []
    for arg in args:
        if arg.lstrip("+").startswith(f"{SEARCH_PATH}="):
            folders += _places(arg)
        else:
            rest.append(arg)
    return ConfigTree(folders), rest


def search_path_override(folders: Sequence[Path]) -> list[str]:
    """Returns the override that tells Hydra of `folders`, none for none."""
    quoted = [f"file://{folder}".replace("'", r"\'") for folder in folders]
    places = ",".join(f"'{place}'" for place in quoted)
    return [f"{SEARCH_PATH}=[{places}]"] if places else []


def _places(arg: str) -> list[str]:
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        [override] = OverridesParser.create().parse_overrides([arg])
    except HydraException as error:
        raise UserError(f"{arg}: cannot be read; type --config-dir FOLDER") from error
    value = override.value()
    places = value if isinstance(value, list) else [value]
    return [str(place).removeprefix("file://") for place in places]


def parse(args: Sequence[str], tree: ConfigTree) -> Typed:
    """Reads `args`; those that cannot be read become problems."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    typed = Typed()
    parser = OverridesParser.create(config_loader=tree.loader)
    for arg in args:
        try:
            [override] = parser.parse_overrides([arg])
        except HydraException:
            typed.problems.append(_unreadable(arg, tree))
            continue
        if not override.key_or_group or override.package is not None:
            typed.problems.append(f"{arg}: not understood; an override is key=value")
        elif override.is_hydra_override():
            typed.hydra.append(arg)
        elif tree.is_group(override.key_or_group):
            typed.groups.append(override)
        else:
            typed.values.append(override)
    return typed


def rewrite(args: Sequence[str], tree: ConfigTree) -> list[str]:
    """Rewrites overrides so that `hydra.main` takes keys that are only in a signature.

    Raises:
        UserError: Overrides that cannot be read, one line each.
    """
    rewritten, problems = [], []
    for arg in args:
        typed = parse([arg], tree)
        problems += typed.problems
        rewritten += typed.hydra
        rewritten += [group_override(one.key_or_group, _text(one)) for one in typed.groups]
        rewritten += [arg if one.is_delete() else f"++{arg.lstrip('+')}" for one in typed.values]
    if problems:
        raise UserError(*problems)
    return rewritten


def group_override(group: str, option: str) -> str:
    """Returns `group=option`, with the `+` that a group needs which has no default option."""
    return f"{'' if group in GROUPS or group == PRESETS else '+'}{group}={option}"


def _text(override: Override) -> str:
    return (override.input_line or "").partition("=")[2]


def expand(args: Sequence[str], tree: ConfigTree) -> list[list[str]]:
    """Expands sweeps (choices, ranges, globs) into the overrides of each run.

    Raises:
        UserError: An `interval(…)`, which has no end of values.
    """
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
    from hydra.core.override_parser.overrides_parser import OverridesParser

    overrides = OverridesParser.create(config_loader=tree.loader).parse_overrides(list(args))
    endless = [one.input_line for one in overrides if one.is_interval_sweep()]
    if endless:
        raise UserError(*(f"{text}: give values or range(…), not an interval" for text in endless))
    [runs] = BasicSweeper.split_arguments(overrides, max_batch_size=None)
    return [list(run) for run in runs]


def apply(config: Mapping[str, Any], overrides: Sequence[Override]) -> tuple[DictConfig, list[str]]:
    """Sets the values that `overrides` name, as Hydra's `++` does, and deletes `~` ones.

    Returns:
        The configuration, unresolved, and one line for each override that does not fit it.

    Raises:
        UserError: `config` itself is no configuration.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        result = OmegaConf.create(dict(config))
    except OmegaConfBaseException as error:
        raise UserError(f"the configuration cannot be read: {one_line(error)}") from error
    problems = []
    for override in overrides:
        key = override.key_or_group
        try:
            if override.is_delete():
                parent, _, leaf = key.rpartition(".")
                node = OmegaConf.select(result, parent) if parent else result
                del node[leaf]
            else:
                OmegaConf.update(result, key, override.value(), merge=True, force_add=True)
        except (OmegaConfBaseException, TypeError, KeyError) as error:
            reason = "nothing to delete" if override.is_delete() else one_line(error)
            problems.append(f"{override.input_line}: {reason}")
    return result, problems


def _unreadable(arg: str, tree: ConfigTree) -> str:
    key, equals, value = arg.partition("=")
    if arg.startswith("-"):
        return f"{arg}: no such option; keys are typed without dashes, as epochs=3"
    if not equals:
        owners = [group for group in (*GROUPS, PRESETS) if arg in tree.files(group)]
        hint = f"; did you mean '{owners[0]}={arg}'?" if owners else ", as seed=1 or strategy=dann"
        return f"{arg}: an override is key=value{hint}"
    if not re.fullmatch(r"(\+{0,2}|~)[A-Za-z_][\w./@]*", key):
        return f"{arg}: '{key}' is no key; an override is key=value, as seed=1"
    return f"{arg}: cannot be read; quote special characters: \"{key}='{value}'\""
