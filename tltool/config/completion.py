"""Shell completion of overrides."""

from collections.abc import Iterable, Sequence

from tltool.config.kinds import Kind
from tltool.config.options import target_of
from tltool.config.schema import GROUPS, PRESETS
from tltool.config.signature import Parameter
from tltool.config.tree import ConfigTree
from tltool.config.validate import group_options, top_options

PREFIXES = "+~"


def complete(incomplete: str, given: Sequence[str], config_dirs: Sequence[str] = ()) -> list[str]:
    """Completes an override.

    Args:
        incomplete: What stands at the cursor.
        given: The overrides before it: which options of the groups they choose.
        config_dirs: Values of `--config-dir`.

    Returns:
        Whole words that begin with `incomplete`; empty where nothing fits or anything is wrong.
    """
    try:
        body = incomplete.lstrip(PREFIXES)
        prefix = incomplete[: len(incomplete) - len(body)]
        words = _words(ConfigTree(config_dirs), body, given)
        return [prefix + word for word in words if word.startswith(body)]
    except Exception:  # whatever is wrong, a traceback at the prompt is worse than no completion
        return []


def _words(tree: ConfigTree, body: str, given: Sequence[str]) -> Iterable[str]:
    key, equals, value = body.partition("=")
    if not equals:
        return _keys(tree, key, given)
    before, comma, _ = value.rpartition(",")  # `strategy=dann,so`: the last item of a sweep
    return (f"{key}={before}{comma}{one}" for one in _values(tree, key, given))


def _keys(tree: ConfigTree, key: str, given: Sequence[str]) -> Iterable[str]:
    group, dot, _ = key.partition(".")
    if dot:
        return [f"{group}.{name}=" for name in _node_options(tree, group, given)]
    groups = [word for name in GROUPS for word in (f"{name}=", f"{name}.")]
    return [*groups, f"{PRESETS}=", *(f"{name}=" for name in top_options())]


def _values(tree: ConfigTree, key: str, given: Sequence[str]) -> Iterable[str]:
    if tree.is_group(key):
        return tree.files(key)
    group, dot, name = key.partition(".")
    options = _node_options(tree, group, given) if dot else top_options()
    return _allowed(options[name if dot else group].kind)


def _node_options(tree: ConfigTree, group: str, given: Sequence[str]) -> dict[str, Parameter]:
    chosen = [arg.partition("=")[2] for arg in given if arg.startswith(f"{group}=")]
    option = chosen[-1] if chosen else tree.compose([])[1][group]
    return group_options(group, target_of(tree, group, option))


def _allowed(kind: Kind) -> list[str]:
    if kind.name == "union":
        return [word for alternative in kind.args for word in _allowed(alternative)]
    if kind.name == "bool":
        return ["true", "false"]
    if kind.name == "None":
        return ["null"]
    return [str(value) for value in kind.values]
