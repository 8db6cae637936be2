"""Pages from templates: everything that data bring is escaped, and a file is whole or not there."""

import os
from pathlib import Path
from typing import Any

import jinja2

from tltool.report import wording


def render(template: str, **values: Any) -> str:
    """Returns a page.

    Args:
        template: Name of a file beside this one.
        values: What it shows.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("tltool.report", "."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["percent"] = wording.percent
    return environment.get_template(template).render(values)


def write_page(path: Path, page: str) -> None:
    """Writes a page; one that was there stays whole until the new one is.

    Raises:
        OSError: The file cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(page, encoding="utf-8", errors="replace")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
