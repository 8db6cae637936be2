"""Where configuration files lie: tltool's own, then the user's."""

import os
from collections.abc import Sequence
from pathlib import Path

from tltool.errors import UserError

ENVIRONMENT = "TLTOOL_CONF"


def conf_dir() -> Path:
    """Returns tltool's own configuration: inside the wheel, or beside the package in a checkout."""
    package = Path(__file__).resolve().parent.parent
    packaged = package / "conf"
    return packaged if packaged.is_dir() else package.parent / "conf"


def search_path(extra: Sequence[str | Path] = ()) -> list[Path]:
    """Lists the folders that options are looked up in, the first that has a file wins.

    Args:
        extra: Values of `--config-dir`.

    Returns:
        tltool's own folder, then `extra`, then those in `TLTOOL_CONF` (split as `PATH` is).

    Raises:
        UserError: A folder that does not exist, one line each.
    """
    variable = [part for part in os.environ.get(ENVIRONMENT, "").split(os.pathsep) if part]
    named = [("--config-dir", Path(value)) for value in extra]
    named += [(ENVIRONMENT, Path(value)) for value in variable]
    missing = [f"{origin} {path}: no such folder" for origin, path in named if not path.is_dir()]
    if missing:
        raise UserError(*missing)
    return list(dict.fromkeys([conf_dir(), *(path.resolve() for _, path in named)]))
