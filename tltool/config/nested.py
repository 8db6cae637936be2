"""Options inside of an option: `strategy.steps=[linear_probe,dann]` becomes two nodes."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tltool.config.kinds import Kind
from tltool.config.schema import GROUPS
from tltool.config.validate import Binder, group_options
from tltool.errors import UserError

Load = Callable[[str, str], dict[str, Any]]


def expand(config: dict[str, Any], load: Load) -> list[str]:
    """Puts, in place, the node of each option where its name is.

    Args:
        config: As `Binder.bind` returned it; an item is a name, a name with values, or a node.
        load: Returns the node of a group's option, or raises a UserError.

    Returns:
        What is wrong, one line each.
    """
    problems: list[str] = []
    for group in GROUPS:
        node = config.get(group)
        if not isinstance(node, dict):
            continue
        for name, parameter in group_options(group, node["_target_"]).items():
            items = node.get(name)
            if (inner := _inner(parameter.kind)) and isinstance(items, list):
                key = f"{group}.{name}"
                node[name] = [_node(one, inner, key, load, problems) for one in items]
    return problems


def nodes(config: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yields every node of a configuration, those inside of others too."""
    for value in config.values():
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, Mapping):
                if "_target_" in one:
                    yield one
                yield from nodes(one)


def _inner(kind: Kind) -> str | None:
    """Returns the group whose options a list holds, None where it holds something else."""
    if kind.name in ("list", "tuple") and kind.args and kind.args[0].name == "option":
        return str(kind.args[0].values[0])
    return None


def _node(item: Any, group: str, key: str, load: Load, problems: list[str]) -> Any:
    if isinstance(item, dict) and "_target_" in item:
        return item
    name, values = (item, {}) if isinstance(item, str) else next(iter(item.items()))
    try:
        node = load(group, name)
    except UserError as error:
        problems += [f"{key}: {problem}" for problem in error.problems]
        return item
    problems += Binder({group: name}).bind_values(group, node, values or {}, key)
    return node
