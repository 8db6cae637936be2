"""record.json: exactly what was run, on what, and how it ended."""

import platform
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import tltool
from tltool.run.build import Parts
from tltool.run.folder import RunFolder
from tltool.run.labels import target_labels

PACKAGES = (
    "torch",
    "torchvision",
    "pytorch-lightning",
    "timm",
    "torchmetrics",
    "transformers",
    "datasets",
    "hydra-core",
    "numpy",
    "pillow",
)


class Record:
    """Kept up to date on disk from the start of a run to its end, over interruptions.

    Args:
        folder: The run folder.
        command: What was typed.
    """

    def __init__(self, folder: RunFolder, command: Sequence[str]) -> None:
        self.folder = folder
        self._start = time.monotonic()
        before = folder.read_json("record.json")
        self._seconds_before = float(before.get("duration_s", 0.0))
        self.data: dict[str, Any] = {
            "status": "running",
            "started": before.get("started", _now()),
            "commands": [*before.get("commands", []), shlex.join(command)],
            "versions": versions(),
            "git": git_state(),
            "platform": platform.platform(),
        }
        self._write()

    def add_parts(self, parts: Parts) -> None:
        """Adds hardware, weights and data."""
        self.data |= {
            "seed": parts.config["seed"],
            "hardware": parts.model.hardware.describe(),
            "weights": {
                **parts.model.backbone.provenance,
                "state_sha256": parts.model.backbone_sha256,
                "preprocessing": parts.model.backbone.preprocessing.describe(),
            },
            "dataset": {
                "fingerprint": parts.arrays.fingerprint,
                "decoded_before": parts.arrays.from_cache,
                "skipped": parts.arrays.skipped,
                **parts.reader.provenance(),
            },
        }
        if scale := parts.table.scale:
            self.data["label_scale"] = asdict(scale)
        if used := target_labels(parts):
            self.data["target_labels_used"] = used
        self._write()

    def end(self, status: str, reason: str | None = None) -> None:
        """Writes how it ended: ``done``, ``interrupted`` or ``failed``, and why."""
        self.data |= {"status": status, "ended": _now()}
        if reason is not None:
            self.data["reason"] = reason
        self._write()

    def _write(self) -> None:
        self.data["duration_s"] = round(self._seconds_before + time.monotonic() - self._start, 3)
        self.folder.write_json("record.json", self.data)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def versions() -> dict[str, str]:
    """Returns the versions of Python, tltool and the packages that figures depend on."""
    found = {"python": sys.version.split()[0], "tltool": tltool.__version__}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def git_state() -> dict[str, Any] | None:
    """Returns commit and whether files differ from it, of the current folder; None without git."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(Path.cwd()), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
        return done.stdout.strip()

    try:
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain"))}
    except (OSError, subprocess.SubprocessError):
        return None
