import subprocess

import pytest

from tltool.run import record
from tltool.run.folder import RunFolder
from tltool.run.record import Record, git_state, versions
from tltool.strategies.base import Strategy


@pytest.fixture
def folder(tmp_path):
    with RunFolder(tmp_path / "run").locked() as locked:
        yield locked


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until it is told."""
    now = [100.0]
    monkeypatch.setattr(record.time, "monotonic", lambda: now[0])
    return now


def read(folder: RunFolder):
    return folder.read_json("record.json")


def test_a_record_lies_on_disk_from_the_start(folder):
    Record(folder, ["tltool", "train", "name=my run"])
    data = read(folder)
    assert data["status"] == "running"
    assert data["commands"] == ["tltool train 'name=my run'"]  # can be typed again
    assert data["versions"]["torch"] and data["platform"] and data["started"]
    assert "ended" not in data


@pytest.mark.parametrize(
    ("status", "reason"), [("done", None), ("failed", "no room"), ("interrupted", "SIGTERM")]
)
def test_how_a_run_ended_is_recorded(folder, clock, status, reason):
    one = Record(folder, ["tltool"])
    clock[0] += 12.5
    one.end(status, reason)
    data = read(folder)
    assert (data["status"], data.get("reason")) == (status, reason)
    assert data["duration_s"] == 12.5 and data["ended"] >= data["started"]


def test_a_resumed_run_adds_its_command_and_time(folder, clock):
    first = Record(folder, ["tltool", "train"])
    started = read(folder)["started"]
    clock[0] += 10.0
    first.end("interrupted", "SIGTERM")
    second = Record(folder, ["tltool", "train", "--resume", "run"])
    assert read(folder)["status"] == "running" and "reason" not in read(folder)
    clock[0] += 5.0
    second.end("done")
    data = read(folder)
    assert data["commands"] == ["tltool train", "tltool train --resume run"]
    assert data["started"] == started and data["duration_s"] == 15.0


def test_parts_add_what_the_run_was_made_of(folder, toy_parts):
    Record(folder, ["tltool"]).add_parts(toy_parts(Strategy()))
    data = read(folder)
    assert data["seed"] == 0
    assert data["hardware"]["device"] == "cpu"
    assert data["weights"]["model"] == "toy" and data["weights"]["state_sha256"] == "sha"
    assert data["weights"]["preprocessing"]["mean"] == [0.5, 0.5, 0.5]
    assert data["dataset"] == {
        "fingerprint": "toy",
        "decoded_before": False,
        "skipped": ["row/bad"],
        "origin": "tests",
    }


def test_a_finished_run_records_itself(trained):
    data = RunFolder(trained).read_json("record.json")
    assert data["status"] == "done" and data["weights"]["model"] == "lenet"
    assert data["dataset"]["skipped"] == [] and len(data["dataset"]["fingerprint"]) >= 32


def test_a_package_that_is_not_there_is_said_so(monkeypatch):
    monkeypatch.setattr(record, "PACKAGES", ("torch", "no-such-package"))
    assert versions()["no-such-package"] == "not installed"


def test_the_git_state_is_that_of_the_current_folder(tmp_path, monkeypatch):
    def git(*arguments: str) -> str:
        identity = ["-c", "user.name=n", "-c", "user.email=n@example.org"]
        done = subprocess.run(
            ["git", *identity, *arguments], capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.chdir(tmp_path)
    assert git_state() is None
    git("init", "-q")
    assert git_state() is None  # no commit yet
    (tmp_path / "a.txt").write_text("one")
    git("add", "a.txt")
    git("commit", "-q", "-m", "first")
    assert git_state() == {"commit": git("rev-parse", "HEAD"), "dirty": False}
    (tmp_path / "a.txt").write_text("two")
    state = git_state()
    assert state is not None and state["dirty"]


def test_without_git_there_is_no_state(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert git_state() is None
