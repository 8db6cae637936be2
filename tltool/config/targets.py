"""From a dotted `_target_` to its definition in source, without importing anything on the way."""

import ast
import importlib.util
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tltool.errors import UserError

ENVIRONMENT = "TLTOOL_ALLOW"


@dataclass(frozen=True)
class Module:
    """A module's source: dotted name, file and syntax tree."""

    name: str
    path: Path
    tree: ast.Module


@dataclass(frozen=True)
class Definition:
    """A statement that defines a name, and the module in which it stands."""

    module: Module
    node: ast.stmt


def allowed_prefixes() -> tuple[str, ...]:
    """Returns the prefixes that a `_target_` may have: ``tltool.`` and those of `TLTOOL_ALLOW`.

    Raises:
        UserError: A prefix without its final dot, which would also match longer package names.
    """
    own = [part.strip() for part in os.environ.get(ENVIRONMENT, "").split(",") if part.strip()]
    bad = [part for part in own if not part.endswith(".")]
    if bad:
        raise UserError(
            *(f"{ENVIRONMENT}={part}: a prefix ends with a dot: {part}." for part in bad)
        )
    return ("tltool.", *own)


def locate(target: str) -> Definition:
    """Finds the class or function that `target` names, through re-exports between allowed packages.

    Raises:
        UserError: `target` is outside the allowed prefixes, or there is no such definition.
    """
    prefixes = allowed_prefixes()
    if not target.startswith(prefixes):
        raise UserError(
            f"{target}: not allowed; a target begins with {' or '.join(prefixes)} "
            f"(allow a package of your own with {ENVIRONMENT}=mypackage.)"
        )
    module_name, _, name = target.rpartition(".")
    module = find_module(module_name)
    if module is None:
        raise UserError(f"{target}: there is no module '{module_name}'")
    found = lookup(module, name)
    if found is None or not isinstance(found.node, ast.ClassDef | ast.FunctionDef):
        raise UserError(f"{target}: {module.path.name} has no class or function '{name}'")
    return found


def find_module(name: str) -> Module | None:
    """Reads a module's source; None if it is outside the allowed packages or has no source file."""
    if not f"{name}.".startswith(allowed_prefixes()):
        return None
    package, *rest = name.split(".")
    for folder in _package_folders(package):
        base = folder.joinpath(*rest)
        for path in (base.with_suffix(".py"), base / "__init__.py"):
            if path.is_file():
                return Module(name, path, _parse(path, path.stat().st_mtime_ns))
    return None


def lookup(module: Module, name: str) -> Definition | None:
    """Finds where `name`, as used in `module`, is defined; imports are followed where allowed."""
    for node in _statements(module.tree.body):
        if name in _names_defined(node):
            return Definition(module, node)
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    origin = find_module(_absolute(module, node))
                    return lookup(origin, alias.name) if origin else None
    return None


def lookup_expression(module: Module, node: ast.expr) -> Definition | None:
    """Like `lookup`, for `Name` and for `module.Name`."""
    if isinstance(node, ast.Name):
        return lookup(module, node.id)
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        for origin in _modules_imported_as(module, node.value.id):
            if found := find_module(origin):
                return lookup(found, node.attr)
    return None


def _package_folders(package: str) -> Sequence[Path]:
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return []
    return [Path(place) for place in (spec.submodule_search_locations or [])] if spec else []


@cache
def _parse(path: Path, _modified_ns: int) -> ast.Module:
    try:
        return ast.parse(path.read_text(encoding="utf-8"))
    except (SyntaxError, ValueError) as error:
        raise UserError(f"{path}: not readable as Python: {error}") from error


def _statements(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    for node in body:
        yield node
        if isinstance(node, ast.If | ast.Try):  # `if TYPE_CHECKING:`, `try: import …`
            yield from _statements(node.body + node.orelse)


def _names_defined(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.ClassDef | ast.FunctionDef):
        return [node.name]
    if isinstance(node, ast.Assign):
        return [target.id for target in node.targets if isinstance(target, ast.Name)]
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return [node.target.id]
    return []


def _modules_imported_as(module: Module, name: str) -> Iterator[str]:
    for node in _statements(module.tree.body):
        if isinstance(node, ast.Import | ast.ImportFrom):
            prefix = f"{_absolute(module, node)}." if isinstance(node, ast.ImportFrom) else ""
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    yield prefix + alias.name


def _absolute(module: Module, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    parts = module.name.split(".")
    up = node.level - (module.path.name == "__init__.py")  # a package is its own level 1
    return ".".join(parts[: len(parts) - up] + ([node.module] if node.module else []))
