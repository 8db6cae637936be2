"""What Weights & Biases gets, and what it leaves behind; it never gets a network here."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tltool.errors import UserError
from tltool.run.folder import RunFolder
from tltool.run.history import FILE, History, Loggers

wandb = pytest.importorskip("wandb")


@pytest.fixture(autouse=True)
def nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A user who never logged in, in an empty folder; W&B's service ends with the test."""
    home = tmp_path / "home"
    home.mkdir()
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_DIR", "WANDB_RUN_ID"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HOME", "NETRC", "WANDB_CONFIG_DIR", "WANDB_CACHE_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(name, str(home / name.lower()))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    yield tmp_path / "here"
    assert list((tmp_path / "here").iterdir()) == []  # all of it is in the run folder
    wandb.teardown()


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[RunFolder]:
    with RunFolder(tmp_path / "run").locked() as locked:
        yield locked


def kept(path: Path) -> list[bytes]:
    """What W&B keeps of each session of a run, oldest first."""
    wandb.teardown()  # its service may write for a moment longer than a run takes to finish
    return [file.read_bytes() for file in sorted(path.glob("wandb/offline-run-*/run-*.wandb"))]


def test_rows_and_results_go_offline_and_a_resumed_run_keeps_its_id(folder: RunFolder) -> None:
    loggers = Loggers(wandb=True, offline=True)
    history = History(folder, loggers, {"seed": 0}, 0)
    history.log({"step": 2, "epoch": 1, "train/loss": 0.5})
    history.finish({}, done=False)
    first = folder.read_json("wandb.json")["id"]

    resumed = History(folder, loggers, {"seed": 0}, 2)
    resumed.log({"step": 4, "epoch": 2, "train/loss": 0.25})
    resumed.finish({"target_test/accuracy": 0.75}, done=True)
    assert folder.read_json("wandb.json")["id"] == first

    one, two = kept(folder.path)
    assert first.encode() in one and first.encode() in two
    assert b"train/loss" in one and b"train/loss" in two
    assert b"target_test/accuracy" in two and b"target_test/accuracy" not in one
    assert (folder.path / FILE).read_text().count("\n") == 3  # both rows, and the header


def test_a_run_logs_to_both(run: Any, tmp_path: Path) -> None:
    out, err = sys.stdout, sys.stderr
    results = run(tmp_path / "run", "logger=both", "logger.offline=true", "logger.project=p")
    assert results["status"] == "done"
    [session] = kept(tmp_path / "run")
    for text in (b"train/classification", b"target_test/accuracy", b"image_folder"):
        assert text in session
    assert (tmp_path / "run" / FILE).is_file()
    assert (sys.stdout, sys.stderr) == (out, err)


def test_wandb_alone_writes_no_csv(folder: RunFolder) -> None:
    history = History(folder, Loggers(csv=False, wandb=True, offline=True), {}, 0)
    history.log({"step": 2, "epoch": 1})
    history.finish({}, done=True)
    assert not (folder.path / FILE).exists()
    assert len(kept(folder.path)) == 1


def test_the_mode_of_the_environment_counts(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    History(folder, Loggers(wandb=True), {}, 0).finish({}, done=True)
    assert len(kept(folder.path)) == 1


def test_other_ranks_start_no_session(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "1")
    history = History(RunFolder(folder.path), Loggers(wandb=True, offline=True), {}, 0)
    history.log({"step": 2, "epoch": 1})
    history.finish({}, done=True)
    assert kept(folder.path) == []


def test_without_a_login_there_is_one_line(run: Any, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        run(tmp_path / "run", "logger=wandb")
    [line] = caught.value.problems
    assert line.startswith("logger.wandb=true: ")
    assert "wandb login" in line and "logger.offline=true" in line and "\n" not in line
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert (results["status"], results["reason"]) == ("failed", line)


def test_a_project_that_cannot_be_is_one_line(folder: RunFolder) -> None:
    with pytest.raises(UserError, match="^logger.wandb=true: .*project"):
        History(folder, Loggers(wandb=True, offline=True, project="a/b"), {}, 0)
