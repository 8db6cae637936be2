"""Types that a configuration value can have, read from annotations and checked against values."""

import ast
from dataclasses import dataclass
from typing import Any

from tltool.config.schema import GROUPS
from tltool.config.targets import Module, lookup_expression
from tltool.errors import did_you_mean

SCALARS: dict[str, type] = {"int": int, "float": float, "str": str, "bool": bool}
LISTS = {"list", "tuple", "Sequence"}
DICTS = {"dict", "Mapping"}


@dataclass(frozen=True)
class Kind:
    """What an annotation says.

    Args:
        name: ``int``, ``float``, ``str``, ``bool``, ``None``, ``Path``, ``Literal``, ``union``,
            ``list``, ``tuple``, ``dict``, ``option`` (of the group that its class is called like),
            ``any`` (no or any type), or ``other`` (a type whose
            values no configuration can hold, or an annotation that is not understood).
        args: Element kinds: alternatives of a union; items of a list; key and value of a dict.
        values: Of a Literal; the group of an option.
        fixed: A tuple with one kind for each of its items, as ``tuple[int, int]``.
    """

    name: str
    args: tuple["Kind", ...] = ()
    values: tuple[Any, ...] = ()
    fixed: bool = False

    def __str__(self) -> str:
        if self.name == "Literal":
            return "one of " + ", ".join(str(value) for value in self.values)
        if self.name == "union":
            # [a, b] of what can be given alone need not be listed again.
            alone = [str(kind) for kind in self.args]
            return " or ".join(
                "a list of them" if kind.args and str(kind.args[0]) in alone[:i] else alone[i]
                for i, kind in enumerate(self.args)
            )
        if self.name in ("list", "tuple"):
            return "list of " + ", ".join(str(kind) for kind in self.args) if self.args else "list"
        if self.name == "option":
            return f"{self.values[0]} option"
        return {"None": "null", "Path": "str", "other": "any"}.get(self.name, self.name)

    def contains(self, name: str) -> bool:
        """Whether this kind, or an alternative of this union, is called `name`."""
        return self.name == name or (
            self.name == "union" and any(kind.contains(name) for kind in self.args)
        )


ANY = Kind("any")
OTHER = Kind("other")


def parse_kind(module: Module, node: ast.expr | None) -> Kind:
    """Reads an annotation as it stands in `module`; aliases are followed where allowed."""
    if node is None:
        return ANY
    if isinstance(node, ast.Constant):
        if isinstance(node.value, str):
            return parse_kind(module, ast.parse(node.value, mode="eval").body)
        return Kind("None") if node.value is None else OTHER
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return _union(parse_kind(module, node.left), parse_kind(module, node.right))
    if isinstance(node, ast.Subscript):
        return _parse_subscript(module, node)
    return _parse_name(module, node)


def convert(kind: Kind, value: Any) -> Any:
    """Returns `value` as `kind` holds it: an int where a float is wanted becomes a float.

    Raises:
        ValueError: `value` is not of that kind; the message says what is wanted.
    """
    if kind.name in ("any", "other"):
        return value
    if kind.name == "option":
        return _convert_option(kind, value)
    if kind.name == "union":
        return _convert_union(kind, value)
    if kind.name == "Literal":
        if any(type(value) is type(one) and value == one for one in kind.values):
            return value
        close = did_you_mean(value, map(str, kind.values)) if isinstance(value, str) else ""
        raise ValueError(f"{kind} wanted{close}")
    if kind.name in ("list", "tuple"):
        return _convert_items(kind, value)
    if kind.name == "dict" and isinstance(value, dict):
        _, item = kind.args or (ANY, ANY)
        return {key: convert(item, entry) for key, entry in value.items()}
    return _convert_scalar(kind, value)


def _last(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id
    return node.attr if isinstance(node, ast.Attribute) else ""


def _parse_name(module: Module, node: ast.expr) -> Kind:
    name = _last(node)
    if name in SCALARS or name == "Path":
        return Kind(name)
    if name in ("Any", "object"):
        return ANY
    if name in LISTS:
        return Kind(_sequence(name))
    if name in DICTS:
        return Kind("dict")
    found = lookup_expression(module, node)
    if found and isinstance(found.node, ast.Assign | ast.AnnAssign):
        return parse_kind(found.module, found.node.value)
    if found and isinstance(found.node, ast.ClassDef) and name.lower() in GROUPS:
        return Kind("option", values=(name.lower(),))
    return OTHER


def _union(*kinds: Kind) -> Kind:
    """Returns the union of kinds; unions inside of it are dissolved, and Literals are one."""
    flat = [one for kind in kinds for one in (kind.args if kind.name == "union" else [kind])]
    values = tuple(value for one in flat if one.name == "Literal" for value in one.values)
    literal = [Kind("Literal", values=tuple(dict.fromkeys(values)))] if values else []
    parts = (*literal, *(one for one in flat if one.name != "Literal"))
    return parts[0] if len(parts) == 1 else Kind("union", parts)


def _parse_subscript(module: Module, node: ast.Subscript) -> Kind:
    name = _last(node.value)
    elements = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    if name == "Literal":
        return Kind("Literal", values=tuple(ast.literal_eval(element) for element in elements))
    if name == "tuple" and not _is_ellipsis(elements[-1]):
        kinds = tuple(parse_kind(module, element) for element in elements)
        return Kind("tuple", kinds, fixed=True)
    if name in LISTS:
        return Kind(_sequence(name), (parse_kind(module, elements[0]),))
    if name in ("Union", "Optional", "Annotated"):
        kinds = tuple(parse_kind(module, element) for element in elements)
        return {
            "Union": _union(*kinds),
            "Optional": _union(kinds[0], Kind("None")),
            "Annotated": kinds[0],
        }[name]
    if name in DICTS:
        return Kind("dict", tuple(parse_kind(module, element) for element in elements))
    return OTHER


def _sequence(name: str) -> str:
    return "tuple" if name == "tuple" else "list"


def _is_ellipsis(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is ...


def _convert_union(kind: Kind, value: Any) -> Any:
    problems = []
    for alternative in kind.args:
        try:
            return convert(alternative, value)
        except ValueError as error:
            problems.append(str(error))
    close = [text for text in problems if "did you mean" in text]
    raise ValueError(close[0] if close else f"{kind} wanted")


def _convert_items(kind: Kind, value: Any) -> list[Any]:
    if not isinstance(value, list | tuple):
        raise ValueError(f"{kind} wanted: [a,b]")
    if kind.fixed:
        if len(value) != len(kind.args):
            raise ValueError(f"{len(kind.args)} items wanted, {len(value)} given")
        return [convert(item, entry) for item, entry in zip(kind.args, value, strict=True)]
    return [convert(kind.args[0], entry) for entry in value] if kind.args else list(value)


def _convert_option(kind: Kind, value: Any) -> Any:
    """Takes a name, a name with values (`{dann: {hidden: 64}}`), or a node."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict) and ("_target_" in value or len(value) == 1):
        return value
    raise ValueError(f"{kind} wanted: NAME or {{NAME: {{key: value}}}}")


def _convert_scalar(kind: Kind, value: Any) -> Any:
    if kind.name == "None" and value is None:
        return None
    if kind.name == "float" and type(value) is int:
        return float(value)
    wanted = SCALARS.get("str" if kind.name == "Path" else kind.name)
    if value != value:  # nan
        raise ValueError(f"{kind} wanted, not nan")
    if wanted is not None and type(value) is wanted:
        return value
    raise ValueError(f"{kind} wanted")
