"""Rows of CSV, JSON-lines and Parquet files, each with the line that it begins in.

CSV and JSON lines are read with the standard library: it goes on after a line that it cannot read,
and tells its number.
"""

import csv
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

SUFFIXES = (".csv", ".jsonl", ".ndjson", ".parquet")
HEAD = 100  # lines of a JSON-lines file that are looked at for the names of its columns
FIELD = 2**31 - 1  # characters in a field of a CSV file, the most; 131 072 by default


@dataclass(frozen=True)
class Row:
    """One row of a file.

    Args:
        line: Where it begins, counted from 1; in a Parquet file, which has no lines, its number.
        values: Texts by column, an empty string where there is nothing.
        problem: Why the row cannot be read; there are no values then.
    """

    line: int
    values: Mapping[str, str]
    problem: str = ""


def column_names(path: Path) -> list[str]:
    """Returns the columns of a file; reads its beginning only.

    Raises:
        ValueError: It cannot be read as what its name says that it is.
        OSError: It cannot be read at all.
    """
    try:
        return _FORMATS[path.suffix.lower()][0](path)
    except csv.Error as error:
        raise ValueError(str(error)) from error


def read_rows(path: Path, columns: Sequence[str]) -> Iterator[Row]:
    """Yields every row, with these columns of it; empty lines are passed over.

    Raises:
        ValueError: A Parquet file is damaged.
        OSError: It cannot be read.
    """
    yield from _FORMATS[path.suffix.lower()][1](path, columns)


def _csv_columns(path: Path) -> list[str]:
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        header = next(csv.reader(file, strict=True), None)
    if header is None:
        raise ValueError("it is empty")
    if not all(_is_utf8(name) and "\0" not in name for name in header):
        raise ValueError("its header is not UTF-8 text")
    return header


def _csv_rows(path: Path, columns: Sequence[str]) -> Iterator[Row]:
    names = _csv_columns(path)
    limit = csv.field_size_limit(FIELD)
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            reader = csv.reader(file, strict=True)
            next(reader)
            while True:
                line = reader.line_num + 1
                try:
                    fields = next(reader)
                except StopIteration:
                    return
                except csv.Error as error:
                    yield Row(line, {}, _csv_problem(str(error), line, reader.line_num))
                    continue
                if not fields:
                    continue
                if len(fields) != len(names):
                    yield Row(line, {}, f"{len(fields)} fields, the header has {len(names)}")
                    continue
                yield _checked(line, dict(zip(names, fields, strict=True)), columns)
    finally:
        csv.field_size_limit(limit)


def _csv_problem(message: str, first: int, last: int) -> str:
    if "unexpected end" in message:
        return f"a quote opens and is not closed up to the end of the file, line {last}"
    where = "" if first == last else f", line {last}"
    return f"not readable as CSV ({message}{where})"


def _json_columns(path: Path) -> list[str]:
    with path.open(encoding="utf-8-sig", errors="surrogateescape") as file:
        found = [_json_object(line) for line in islice(file, HEAD) if line.strip()]
    objects = [one for one in found if not isinstance(one, str)]
    if not objects:
        raise ValueError(found[0] if found and isinstance(found[0], str) else "it is empty")
    return list(dict.fromkeys(name for one in objects for name in one))


def _json_rows(path: Path, columns: Sequence[str]) -> Iterator[Row]:
    with path.open(encoding="utf-8-sig", errors="surrogateescape") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                one = _json_object(line)
                yield (
                    Row(number, {}, one) if isinstance(one, str) else _checked(number, one, columns)
                )


def _json_object(line: str) -> dict[str, Any] | str:
    """Returns the object in a line, or why there is none."""
    try:
        found = json.loads(line)
    except ValueError as error:
        return f"not JSON ({error})"
    return found if isinstance(found, dict) else "not a JSON object"


def _parquet_columns(path: Path) -> list[str]:
    from pyarrow.parquet import read_schema

    return list(read_schema(path).names)


def _parquet_rows(path: Path, columns: Sequence[str]) -> Iterator[Row]:
    from pyarrow.parquet import ParquetFile

    number = 0
    with ParquetFile(path) as file:
        for batch in file.iter_batches(columns=list(columns)):
            for values in batch.to_pylist():
                number += 1
                yield _checked(number, values, columns)


def _checked(line: int, values: Mapping[str, Any], columns: Sequence[str]) -> Row:
    texts = {name: _text(values.get(name)) for name in columns}
    bad = [name for name, text in texts.items() if not _is_utf8(text)]
    return Row(line, {}, f"{', '.join(bad)} is not UTF-8 text") if bad else Row(line, texts)


def _text(value: Any) -> str:
    """Returns a value as text; an empty one for null and for the NaN that some tools write."""
    return "" if value is None or value != value else str(value).strip()


def _is_utf8(text: str) -> bool:
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


_FORMATS = {
    ".csv": (_csv_columns, _csv_rows),
    ".jsonl": (_json_columns, _json_rows),
    ".ndjson": (_json_columns, _json_rows),
    ".parquet": (_parquet_columns, _parquet_rows),
}


def number(text: str) -> float | None:
    """Returns the number that a text is; None where it is none, or not finite."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
