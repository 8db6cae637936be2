"""What there is to predict: images or texts that a path stands for."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tltool.data.readers.image_folder import EXTENSIONS
from tltool.data.readers.records import SUFFIXES, column_names, read_rows
from tltool.errors import UserError, did_you_mean

NAMED = 10  # rows that cannot be read named before the rest is only counted


@dataclass(frozen=True)
class Examples:
    """Examples without labels.

    Args:
        column: What they are named by: ``path`` or ``text``.
        names: N names.
        items: N examples, as `tltool.data.store.Store.encode` takes them.
    """

    column: str
    names: list[str]
    items: list[Any]


def examples_at(path: Path, modality: str, dataset: Mapping[str, Any]) -> Examples:
    """Returns the examples that a path stands for.

    Args:
        path: A file or a folder.
        modality: Of the run's backbone.
        dataset: Configuration of the run's dataset, which may name columns.

    Raises:
        UserError: There are none, or some cannot be read.
    """
    find = {"image": _images, "text": _texts}[modality]
    return find(path, dataset)


def _images(path: Path, dataset: Mapping[str, Any]) -> Examples:
    if path.suffix.lower() in SUFFIXES:
        names = _column(path, dataset.get("image") or "path")
        paths = [path.parent / name for name in names]
    elif path.is_file():
        paths = [path]
    else:
        paths = sorted(file for file in path.rglob("*") if file.suffix.lower() in EXTENSIONS)
        if not paths:
            raise UserError(f"{path}: no images in it ({', '.join(EXTENSIONS)})")
    names = [str(one) for one in paths]
    return Examples("path", names, [{"bytes": None, "path": name} for name in names])


def _texts(path: Path, dataset: Mapping[str, Any]) -> Examples:
    if path.suffix.lower() in SUFFIXES:
        texts = _column(path, dataset.get("text", "text"))
    elif path.suffix.lower() == ".txt" and path.is_file():
        try:
            lines = path.read_text(encoding="utf-8-sig").split("\n")
        except (OSError, ValueError) as error:
            raise UserError(f"{path}: cannot be read as text ({_line(error)})") from error
        texts = [line.strip() for line in lines if line.strip()]
    else:
        allowed = ", ".join(SUFFIXES)
        raise UserError(f"{path}: this run takes texts: a table ({allowed}) or a .txt file wanted")
    if not texts:
        raise UserError(f"{path}: no texts in it")
    return Examples("text", texts, texts)


def _column(table: Path, name: str) -> list[str]:
    """Returns one column of a table, none of whose values may be empty."""
    try:
        known = column_names(table)
        if name not in known:
            raise UserError(
                f"{table}: a column '{name}' wanted{did_you_mean(name, known)}; it has "
                f"{', '.join(known)}"
            )
        rows = list(read_rows(table, [name]))
    except (OSError, ValueError) as error:
        raise UserError(f"{table}: cannot be read as a table ({_line(error)})") from error
    bad = [
        f"{table}:{row.line}: {row.problem or f'no {name}'}"
        for row in rows
        if not row.values.get(name)
    ]
    if bad:
        more = [f"and {len(bad) - NAMED} more"] if len(bad) > NAMED else []
        raise UserError(*bad[:NAMED], *more)
    return [row.values[name] for row in rows]


def _line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
