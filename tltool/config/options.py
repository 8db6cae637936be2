"""What there is to choose from: the options of each group, and what they are."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from tltool.config.schema import GROUPS, PRESETS
from tltool.config.signature import class_attribute, docline
from tltool.config.tree import ConfigTree
from tltool.errors import UserError, did_you_mean


@dataclass(frozen=True)
class Option:
    """One option of a group.

    Args:
        name: As typed: `group=name`.
        description: One line.
        target: Its `_target_`; empty for a preset.
        feed: Of a strategy: the shape of batch that it learns from.
        modalities: Of a strategy: what its inputs may be; of a backbone or dataset: what they are.
        needs: Modules that it imports and that tltool does not require.
    """

    name: str
    description: str
    target: str = ""
    feed: str | None = None
    modalities: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()


def options(group: str, config_dirs: Sequence[str | Path] = ()) -> list[Option]:
    """Lists the options of a group by name, those of the user's folders among them.

    Raises:
        UserError: There is no such group, or an option's file or `_target_` cannot be read.
    """
    tree = ConfigTree(config_dirs)
    if not tree.is_group(group):
        known = [*GROUPS, PRESETS]
        hint = did_you_mean(group, known)
        raise UserError(f"{group}: no such group{hint} ({', '.join(known)})")
    return [_option(tree, group, name, path) for name, path in tree.files(group).items()]


def target_of(tree: ConfigTree, group: str, option: str) -> str:
    """Returns the `_target_` of an option, or an empty string where it has none.

    Raises:
        UserError: The option's file cannot be read.
    """
    path = tree.files(group)[option]
    try:
        node = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (yaml.YAMLError, OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read: {' '.join(str(error).split())}") from error
    if isinstance(node, dict) and "_target_" not in node and group in GROUPS:
        node = tree.compose([f"{group}={option}"])[0].get(group)  # from its defaults list
    target = node.get("_target_", "") if isinstance(node, dict) else ""
    return target if isinstance(target, str) else ""


def _option(tree: ConfigTree, group: str, name: str, path: Path) -> Option:
    target = target_of(tree, group, name)
    comment = _leading_comment(path)
    if not target:
        return Option(name, comment)
    return Option(
        name,
        comment or docline(target),
        target,
        feed=class_attribute(target, "feed"),
        modalities=tuple(class_attribute(target, "modalities") or _modality(target)),
        needs=tuple(class_attribute(target, "needs", ())),
    )


def _modality(target: str) -> tuple[str, ...]:
    modality = class_attribute(target, "modality")
    return (modality,) if modality else ()


def _leading_comment(path: Path) -> str:
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            break
        text = line.lstrip("# ").strip()
        if text and not text.startswith("@package"):
            return text
    return ""
