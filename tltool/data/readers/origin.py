"""One dataset of the Hugging Face hub, or one folder: what it is, which version, its splits."""

import functools
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tltool.data.readers.base import tree_digest
from tltool.errors import UserError
from tltool.hub import offline_if_silent

if TYPE_CHECKING:
    from datasets import Dataset

SAVED = ("dataset_dict.json", "state.json")  # what save_to_disk leaves in its folder


@dataclass(frozen=True)
class Origin:
    """Where one domain comes from.

    Args:
        key: Of the name in the configuration, for messages.
        name: On the hub, or a folder.
        config: Of the dataset, or None for its default.
        revision: On the hub, or None for the newest.
    """

    key: str
    name: str
    config: str | None
    revision: str | None

    @property
    def folder(self) -> Path | None:
        """The folder, where the name is that of one."""
        folder = Path(self.name).expanduser()
        return folder if folder.is_dir() else None

    def problems(self) -> list[str]:
        """Returns at most one line: a folder that is not there, a name the hub cannot have."""
        given = f"dataset.{self.key}={self.name}"
        if self.folder:
            return [] if any(self.folder.iterdir()) else [f"{given}: the folder is empty"]
        if self.name.startswith((".", "/", "~")) or self.name.count("/") > 1:
            return [f"{given}: no such folder"]
        if not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", self.name):
            return [f"{given}: neither a folder nor a name on the hub, as in user/dataset"]
        return []

    def version(self) -> str:
        """Returns the sha256 of a folder's files, or the commit of a dataset on the hub."""
        if self.folder:
            files = [path for path in self.folder.rglob("*") if path.is_file()]
            return tree_digest({path.relative_to(self.folder).as_posix(): path for path in files})
        if self.revision and re.fullmatch("[0-9a-f]{40}", self.revision):
            return self.revision
        return _commit(self)

    def load(self) -> "dict[str, Dataset]":
        """Returns the splits by name; one without a name is an empty string."""
        import datasets

        try:
            if self.folder and any((self.folder / name).exists() for name in SAVED):
                found = datasets.load_from_disk(str(self.folder))
            elif self.folder:
                found = datasets.load_dataset(str(self.folder), self.config)
            else:
                version = self.version()
                with offline_if_silent():
                    found = datasets.load_dataset(self.name, self.config, revision=version)
        except Exception as error:
            raise _unusable(self, error) from error
        return {"": found} if isinstance(found, datasets.Dataset) else dict(found)


@functools.cache
def _commit(origin: Origin) -> str:
    import datasets

    try:
        with offline_if_silent():
            builder = datasets.load_dataset_builder(
                origin.name, origin.config, revision=origin.revision
            )
    except Exception as error:
        raise _unusable(origin, error) from error
    return str(builder.hash)


def _unusable(origin: Origin, error: Exception) -> UserError:
    """Returns one line; the library raises errors of its own and of three packages below it."""
    if isinstance(error, UserError):
        return error
    given = f"dataset.{origin.key}={origin.name}"
    if isinstance(error, ConnectionError):
        return UserError(
            f"{given}: the hub does not answer; offline, give a folder written by save_to_disk, "
            f"or set HF_HUB_OFFLINE=1 for what was downloaded before"
        )
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    return UserError(f"{given}: {reason}")
