"""The run folder: one process at a time, and no file in it that only looks whole."""

import fcntl
import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO, Any

import yaml

from tltool.errors import RunError, UserError
from tltool.run.ranks import is_main_process

RUN_DIR_VARIABLE = "TLTOOL_RUN_DIR"
MODEL = "model.safetensors"


def slug(text: str) -> str:
    """Returns ``text`` as a harmless part of a file name."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-.")[:80] or "run"


def new_run_dir(group: str, name: str) -> Path:
    """Returns ``runs/<group>/<time>-<name>``, a folder that does not exist yet."""
    stamp = f"{datetime.now():%Y-%m-%d_%H-%M-%S}-{slug(name)}"
    path = Path("runs") / slug(group) / stamp
    number = 1
    while path.exists():
        number += 1
        path = path.with_name(f"{stamp}-{number}")
    return path


class RunFolder:
    """Paths and atomic writes of one run; other ranks than 0 write nothing.

    Args:
        path: The folder; created when entered.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.writes = is_main_process()

    @contextmanager
    def locked(self) -> Iterator["RunFolder"]:
        """Creates the folder and holds its lock.

        Raises:
            UserError: Another process holds it, or the folder cannot be made.
        """
        if not self.writes:
            yield self
            return
        try:
            (self.path / "checkpoints").mkdir(parents=True, exist_ok=True)
            lock = (self.path / ".lock").open("a")
        except OSError as error:
            raise UserError(
                f"run_dir={self.path}: {error.strerror}; type another run_dir=FOLDER"
            ) from error
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UserError(
                    f"run_dir={self.path}: another process is running in this folder; "
                    "wait for it, or type another run_dir=FOLDER"
                ) from None
            for left_over in self.path.rglob(".*.part"):
                left_over.unlink()
            yield self

    def write(self, name: str, save: Callable[[IO[bytes]], object]) -> None:
        """Writes a file whole or not at all.

        Args:
            name: Path inside the folder.
            save: Writes the contents into the open file that it is given.

        Raises:
            RunError: The disk is full or cannot be written; the old file is untouched.
        """
        if not self.writes:
            return
        path = self.path / name
        part = path.with_name(f".{path.name}.part")
        try:
            with part.open("wb") as file:
                save(file)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        except (OSError, RuntimeError) as error:  # torch.save turns OSError into RuntimeError
            part.unlink(missing_ok=True)
            raise self._cannot_write(path, error) from error

    def append(self, name: str, text: str) -> None:
        """Adds lines to a text file; when it fails, the last line may be cut short.

        Raises:
            RunError: The disk is full or cannot be written.
        """
        if not self.writes:
            return
        path = self.path / name
        try:
            with path.open("a", newline="") as file:
                file.write(text)
        except OSError as error:
            raise self._cannot_write(path, error) from error

    def _cannot_write(self, path: Path, error: Exception) -> RunError:
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        return RunError(
            f"cannot write {path}: {reason}; what was written before is whole: make room and "
            f"type `tltool train --resume {self.path}`"
        )

    def write_text(self, name: str, text: str) -> None:
        """Writes a text file, atomically."""
        self.write(name, lambda file: file.write(text.encode()))

    def write_json(self, name: str, data: Any) -> None:
        """Writes a JSON file, atomically."""
        self.write_text(name, json.dumps(data, indent=2, default=str) + "\n")

    def write_yaml(self, name: str, data: Any) -> None:
        """Writes a YAML file, atomically."""
        self.write_text(name, yaml.safe_dump(data, sort_keys=False))

    def read_json(self, name: str) -> dict[str, Any]:
        """Returns a JSON file's contents, empty where it does not exist."""
        path = self.path / name
        return json.loads(path.read_text()) if path.is_file() else {}


def read_config(run: Path) -> dict[str, Any]:
    """Returns the resolved configuration of a run folder.

    Raises:
        UserError: It is no run folder.
    """
    path = run / "config.yaml"
    if not path.is_file():
        raise UserError(f"{run} is no run folder: it has no config.yaml")
    try:
        config = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError):
        config = None
    if not isinstance(config, dict):
        raise UserError(f"{path} is damaged: it holds no configuration")
    return config
