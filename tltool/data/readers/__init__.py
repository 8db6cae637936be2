"""Where examples come from; each reader ends in one `datasets.Dataset` table."""

from collections.abc import Mapping
from typing import Any, cast

from tltool.config.instantiate import instantiate
from tltool.data.readers.base import Reader


def checked_reader(node: Mapping[str, Any]) -> Reader:
    """Returns the reader of a dataset's configuration; loads nothing heavy.

    Raises:
        UserError: A missing path, an empty class folder, a label seen only in target, ...
    """
    reader = cast(Reader, instantiate(node))
    reader.check()
    return reader
