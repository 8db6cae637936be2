"""Signatures of `_target_` classes and functions, read from source and never by importing."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tltool.config.kinds import Kind, parse_kind
from tltool.config.targets import Definition, Module, locate, lookup, lookup_expression

_COMPUTED = object()  # a default that is no literal: the class fills it in itself
_FACTORIES: dict[str, Any] = {"list": [], "tuple": (), "dict": {}}


@dataclass(frozen=True)
class Parameter:
    """One parameter.

    Args:
        name: As in the signature.
        kind: Its annotation.
        required: Has no default.
        default: Meaningful only where `has_literal_default`.
    """

    name: str
    kind: Kind
    required: bool
    default: Any = _COMPUTED

    @property
    def has_literal_default(self) -> bool:
        """Whether `default` can be written into a configuration."""
        return not self.required and self.default is not _COMPUTED

    @property
    def is_option(self) -> bool:
        """Whether configuration sets it; False for what the program hands over (a net, a folder).

        Those are told by a type no configuration can hold together with a missing default.
        """
        return not (self.required and self.kind.contains("other"))


@dataclass(frozen=True)
class Signature:
    """Parameters of a target, in order, without `self`, `*args` and `**kwargs`."""

    target: str
    parameters: tuple[Parameter, ...]

    @property
    def options(self) -> tuple[Parameter, ...]:
        """Those that configuration sets."""
        return tuple(parameter for parameter in self.parameters if parameter.is_option)


def signature_of(target: str) -> Signature:
    """Reads the signature of a class (`__init__`, dataclass fields, or inherited) or function.

    Raises:
        UserError: `target` is not allowed or does not exist.
    """
    found = locate(target)
    if isinstance(found.node, ast.FunctionDef):
        return Signature(target, tuple(_arguments(found.module, found.node, skip=0)))
    return Signature(target, tuple(_class_parameters(found) or ()))


def class_attribute(target: str, name: str, default: Any = None) -> Any:
    """Returns a literal class attribute, own or inherited; `default` where there is none.

    Raises:
        UserError: `target` is not allowed or does not exist.
    """
    for definition in _lineage(locate(target)):
        for node in definition.node.body if isinstance(definition.node, ast.ClassDef) else []:
            value = _assigned(node, name)
            if value is not None:
                return _literal(definition.module, value, default)
    return default


def docline(target: str) -> str:
    """Returns the first line of the docstring of `target`, or an empty string."""
    node = locate(target).node
    text = ast.get_docstring(node) if isinstance(node, ast.ClassDef | ast.FunctionDef) else None
    return text.splitlines()[0] if text else ""


def _lineage(definition: Definition) -> Iterator[Definition]:
    yield definition
    for base in definition.node.bases if isinstance(definition.node, ast.ClassDef) else []:
        if found := lookup_expression(definition.module, base):
            yield from _lineage(found)


def _class_parameters(definition: Definition) -> list[Parameter] | None:
    """Returns None where neither the class nor its bases in allowed packages say anything."""
    module, node = definition.module, definition.node
    if not isinstance(node, ast.ClassDef):
        return None
    for statement in node.body:
        if isinstance(statement, ast.FunctionDef) and statement.name == "__init__":
            return list(_arguments(module, statement, skip=1))
    bases = [found for base in node.bases if (found := lookup_expression(module, base))]
    if _is_dataclass(node):
        inherited = [parameter for base in bases for parameter in _class_parameters(base) or ()]
        fields = {parameter.name: parameter for parameter in inherited}
        fields.update({parameter.name: parameter for parameter in _fields(module, node)})
        return list(fields.values())
    inherited_inits = (_class_parameters(base) for base in bases)
    return next((found for found in inherited_inits if found is not None), None)


def _is_dataclass(node: ast.ClassDef) -> bool:
    names = (item.func if isinstance(item, ast.Call) else item for item in node.decorator_list)
    return any(ast.unparse(name) in ("dataclass", "dataclasses.dataclass") for name in names)


def _arguments(module: Module, node: ast.FunctionDef, skip: int) -> Iterator[Parameter]:
    positional = node.args.args[skip:]
    required = len(positional) - len(node.args.defaults)
    defaults = [None] * required + list(node.args.defaults)
    pairs = [*zip(positional, defaults, strict=True)]
    pairs += zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
    for argument, default in pairs:
        yield _parameter(module, argument.arg, argument.annotation, default)


def _fields(module: Module, node: ast.ClassDef) -> Iterator[Parameter]:
    for statement in node.body:
        if not (isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name)):
            continue
        annotation = ast.unparse(statement.annotation)
        if annotation.startswith(("ClassVar", "typing.ClassVar")) or annotation == "KW_ONLY":
            continue
        keywords = _field_keywords(statement.value)
        if keywords is None:
            yield _parameter(module, statement.target.id, statement.annotation, statement.value)
        elif not ("init" in keywords and ast.unparse(keywords["init"]) == "False"):
            default = keywords.get("default") or keywords.get("default_factory")
            yield _parameter(module, statement.target.id, statement.annotation, default)


def _field_keywords(value: ast.expr | None) -> dict[str, ast.expr] | None:
    if isinstance(value, ast.Call) and ast.unparse(value.func) in ("field", "dataclasses.field"):
        return {keyword.arg: keyword.value for keyword in value.keywords if keyword.arg}
    return None


def _parameter(
    module: Module, name: str, annotation: ast.expr | None, default: ast.expr | None
) -> Parameter:
    kind = parse_kind(module, annotation)
    if default is None:
        return Parameter(name, kind, required=True)
    if isinstance(default, ast.Name) and default.id in _FACTORIES:  # field(default_factory=list)
        return Parameter(name, kind, required=False, default=_FACTORIES[default.id])
    return Parameter(name, kind, False, _literal(module, default, _COMPUTED))


def _assigned(node: ast.stmt, name: str) -> ast.expr | None:
    targets = node.targets if isinstance(node, ast.Assign) else []
    if isinstance(node, ast.AnnAssign):
        targets = [node.target]
    hit = any(isinstance(target, ast.Name) and target.id == name for target in targets)
    return node.value if hit and isinstance(node, ast.Assign | ast.AnnAssign) else None


def _literal(module: Module, node: ast.expr, otherwise: Any) -> Any:
    """Evaluates a literal, or the name of a module-level one (`hidden: int = HIDDEN`)."""
    if isinstance(node, ast.Name) and (found := lookup(module, node.id)):
        if isinstance(found.node, ast.Assign | ast.AnnAssign) and found.node.value is not None:
            return _literal(found.module, found.node.value, otherwise)
    try:
        return ast.literal_eval(node)
    except ValueError:
        return otherwise
