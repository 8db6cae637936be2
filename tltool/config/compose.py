"""From what the user typed to a checked configuration with nothing left open."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tltool.config import grammar
from tltool.config.nested import expand
from tltool.config.schema import GROUPS
from tltool.config.tree import ConfigTree
from tltool.config.validate import Binder
from tltool.errors import UserError, did_you_mean

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override
    from omegaconf import DictConfig

ConfigDirs = Sequence[str | Path]


@dataclass(frozen=True)
class Resolved:
    """A checked configuration.

    Args:
        config: Plain nested dict: the keys of `schema.Experiment`, every signature default filled
            in, nothing left to interpolate, lists for tuples.
        choices: Option of each group, for example ``{"strategy": "dann", …}``.
    """

    config: dict[str, Any]
    choices: dict[str, str]

    def saved(self) -> dict[str, Any]:
        """Returns what a run folder's config.yaml holds: `config` and, in it, `choices`."""
        return {**self.config, "choices": self.choices}


def resolve(args: Sequence[str], config_dirs: ConfigDirs = ()) -> Resolved:
    """Composes and checks the configuration of one run.

    Args:
        args: Overrides in Hydra's grammar.
        config_dirs: Folders with options of the user's own.

    Raises:
        UserError: Everything that is wrong with `args`, one line each.
    """
    tree, rest = grammar.open_tree(args, config_dirs)
    return _resolve(tree, rest)


def resolve_all(runs: Sequence[Sequence[str]], config_dirs: ConfigDirs = ()) -> list[Resolved]:
    """Does what `resolve` does for several runs, and reads each file once.

    Raises:
        UserError: What is wrong with any of the runs, each line once.
    """
    problems: dict[str, None] = {}
    resolved = []
    tree: ConfigTree | None = None
    for args in runs:
        own, rest = grammar.open_tree(args, config_dirs)
        if tree is None or own.folders != tree.folders:
            tree = own
        try:
            resolved.append(_resolve(tree, rest))
        except UserError as error:
            problems.update(dict.fromkeys(error.problems))
    if problems:
        raise UserError(*problems)
    return resolved


def plan(
    args: Sequence[str],
    config_dirs: ConfigDirs = (),
    take: Callable[[Resolved], object] = lambda resolved: None,
) -> list[list[str]]:
    """Expands the sweeps in `args` and checks every run; Hydra's own overrides are left out.

    Args:
        args: Overrides in Hydra's grammar.
        config_dirs: Folders with options of the user's own.
        take: Is given the configuration of each run, in order.

    Returns:
        The overrides of each run, in the order in which Hydra runs them.

    Raises:
        UserError: What is wrong with any of the runs, each line once.
    """
    tree, rest = grammar.open_tree(args, config_dirs)
    typed = grammar.parse(rest, tree)
    if typed.problems:
        raise UserError(*typed.problems)
    runs = grammar.expand([arg for arg in rest if arg not in typed.hydra], tree)
    problems: dict[str, None] = {}
    for run in runs:
        try:
            take(_resolve(tree, run))
        except UserError as error:
            problems.update(dict.fromkeys(error.problems))
    if problems:
        raise UserError(*problems)
    return runs


def hydra_arguments(args: Sequence[str], config_dirs: ConfigDirs = ()) -> list[str]:
    """Rewrites `args` for `hydra.main`: `++` for values, the user's folders as `hydra.searchpath`.

    Raises:
        UserError: Overrides that cannot be read, or a folder that does not exist.
    """
    tree, rest = grammar.open_tree(args, config_dirs)
    return grammar.search_path_override(tree.folders[1:]) + grammar.rewrite(rest, tree)


def resolve_node(
    config: DictConfig, choices: Mapping[str, Any], args: Sequence[str] = ()
) -> Resolved:
    """Checks the configuration that `hydra.main` hands to a job of a multirun.

    Args:
        config: As handed over, with or without the `hydra` node.
        choices: `HydraConfig.get().runtime.choices`.
        args: `HydraConfig.get().overrides.task`, quoted in messages.

    Raises:
        UserError: Everything that is wrong with it, one line each.
    """
    from omegaconf import OmegaConf

    plain = OmegaConf.to_container(config, resolve=False)
    assert isinstance(plain, dict)
    plain.pop("hydra", None)
    chosen = {
        str(group): str(option)
        for group, option in choices.items()
        if option is not None and not str(group).startswith("hydra/")
    }
    texts = {arg.partition("=")[0].lstrip("+~"): arg for arg in args}
    return _bind(OmegaConf.create(plain), Binder(chosen, texts), ConfigTree())


def from_run(
    config: Mapping[str, Any], args: Sequence[str], config_dirs: ConfigDirs = ()
) -> Resolved:
    """Applies overrides to the configuration of an earlier run (`--config-from`).

    Args:
        config: As `Resolved.saved` returned it. Its `run_dir` is dropped: that folder is taken.
        args: Overrides; another option of a group replaces the whole group.
        config_dirs: Folders with options of the user's own.

    Raises:
        UserError: Everything that is wrong, one line each.
    """
    tree, rest = grammar.open_tree(args, config_dirs)
    typed = grammar.parse(rest, tree)
    problems = typed.problems + _single_run_problems(typed)
    base = {key: value for key, value in config.items() if key not in ("choices", "run_dir")}
    presets = [one for one in typed.groups if one.key_or_group not in GROUPS]
    problems += [f"{one.input_line}: not together with --config-from" for one in presets]
    nodes = [one for one in typed.groups if one.key_or_group in GROUPS]
    chosen, dropped = _choose(tree, nodes, problems)
    composed, _ = tree.compose([f"{group}={option}" for group, option in chosen.items()])
    base.update({group: composed.get(group) for group in chosen})
    choices = {**dict(config.get("choices") or {}), **chosen}
    return _finish(tree, base, choices, typed, dropped, problems)


def load_option(group: str, option: str, config_dirs: ConfigDirs = ()) -> dict[str, Any]:
    """Returns the node of one option with defaults filled in; required values are left out.

    Raises:
        UserError: There is no such option, or it is not valid.
    """
    return _option(ConfigTree(config_dirs), group, option)


def _option(tree: ConfigTree, group: str, option: str) -> dict[str, Any]:
    if not tree.has(group, option):
        raise UserError(_no_option(tree, group, option, f"{group}={option}"))
    node = _lenient(tree, {group: option}).config[group]
    assert isinstance(node, dict)
    return node


def defaults(
    choices: Mapping[str, str] | None = None, config_dirs: ConfigDirs = ()
) -> dict[str, Any]:
    """Returns, as `Resolved.saved`, the configuration with no value given.

    Args:
        choices: Options of the groups; tltool's own choice where a group is left out.
        config_dirs: Folders with options of the user's own.
    """
    return _lenient(ConfigTree(config_dirs), choices or {}).saved()


def _resolve(tree: ConfigTree, args: Sequence[str]) -> Resolved:
    typed = grammar.parse(args, tree)
    problems = typed.problems + _single_run_problems(typed)
    chosen, dropped = _choose(tree, typed.groups, problems)
    try:
        composed, choices = tree.compose(
            [grammar.group_override(group, option) for group, option in chosen.items()]
        )
    except UserError as error:
        raise UserError(*problems, *error.problems) from error
    return _finish(tree, composed, choices, typed, dropped, problems)


def _finish(
    tree: ConfigTree,
    config: Mapping[str, Any],
    choices: Mapping[str, str],
    typed: grammar.Typed,
    dropped: Collection[str],
    problems: list[str],
) -> Resolved:
    values = [
        one
        for one in typed.values
        if not one.is_sweep_override() and one.key_or_group.split(".")[0] not in dropped
    ]
    applied, unfit = grammar.apply(config, values)
    return _bind(applied, Binder(choices, typed.texts, dropped, problems + unfit), tree)


def _bind(config: DictConfig, binder: Binder, tree: ConfigTree) -> Resolved:
    bound = binder.bind(config)
    if binder.problems:
        raise UserError(*dict.fromkeys(binder.problems))
    if problems := expand(bound, lambda group, option: _option(tree, group, option)):
        raise UserError(*dict.fromkeys(problems))
    return Resolved(bound, dict(binder.choices))


def _lenient(tree: ConfigTree, choices: Mapping[str, str]) -> Resolved:
    """Resolves without values: those that are required are left out rather than refused."""
    from omegaconf import OmegaConf

    composed, chosen = tree.compose([grammar.group_override(*pair) for pair in choices.items()])
    binder = Binder(chosen)
    bound = binder.bind(OmegaConf.create(composed))
    binder.problems += expand(bound, lambda group, option: _option(tree, group, option))
    wrong = [problem for problem in binder.problems if " is required: " not in problem]
    if wrong:
        raise UserError(*wrong)
    return Resolved(bound, chosen)


def _choose(
    tree: ConfigTree, overrides: Sequence[Override], problems: list[str]
) -> tuple[dict[str, str], set[str]]:
    """Splits group overrides into options that exist and groups whose option does not."""
    chosen: dict[str, str] = {}
    dropped: set[str] = set()
    for override in overrides:
        group, option = override.key_or_group, override.value()
        text = override.input_line or ""
        if override.is_sweep_override():  # already a problem; which options it takes is open
            dropped.add(group)
            continue
        if option is None and group not in GROUPS:
            continue  # `experiment=null`, `~experiment`: the default
        if isinstance(option, str) and tree.has(group, option):
            chosen[group] = option
            continue
        dropped.add(group)
        problems.append(_no_option(tree, group, option, text))
    return chosen, dropped


def _no_option(tree: ConfigTree, group: str, option: object, text: str) -> str:
    names = list(tree.files(group))
    if not isinstance(option, str):
        return f"{text}: one of {', '.join(names)} wanted; single keys as {group}.key=value"
    return f"{text}: no such {group}{did_you_mean(option, names)} ({', '.join(names)})"


def _single_run_problems(typed: grammar.Typed) -> list[str]:
    sweeps = [one.input_line for one in typed.groups + typed.values if one.is_sweep_override()]
    problems = [f"{text} is a sweep: add -m (or quote a value with a comma)" for text in sweeps]
    folder = "; run_dir=… sets the folder of a single run"
    return problems + [f"{text}: hydra.* belongs to -m{folder}" for text in typed.hydra]
