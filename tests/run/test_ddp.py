"""Two processes train what one would, and stop together."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tltool.config.compose import resolve
from tltool.data.readers import checked_reader
from tltool.errors import UserError
from tltool.run.build import build
from tltool.run.ranks import is_main_process
from tltool.run.signals import Signals

# Neither BatchNorm nor dropout: what a rank computes of an image depends on no other image.
NETWORK = [
    "backbone=timm",
    "backbone.name=test_vit",
    "backbone.weights=random",
    "backbone.size=32",
    "log_every=1",
    "optimizer.lr=0.01",
]
DDP = ["hardware=ddp", "hardware.accelerator=cpu", "hardware.threads=1"]
Start = Callable[..., "subprocess.Popen[str]"]


def weights(path: Path) -> dict[str, torch.Tensor]:
    return load_file(path / "model.safetensors")


def rows(path: Path) -> list[dict[str, str]]:
    with (path / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def of_run(path: Path) -> list[str]:
    """Command lines of the processes that work on a run."""
    found = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = process.read_text().replace("\0", " ")
        except OSError:  # it ended meanwhile
            continue
        if str(path) in command:
            found.append(command)
    return found


@pytest.fixture
def start(domains: Any) -> Iterator[Start]:
    """Starts `tltool train` in a process group of its own."""
    started: list[subprocess.Popen[str]] = []

    def call(*args: str) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-m", "tltool", "train", *args],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield call
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def test_rank_0_is_the_main_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    monkeypatch.delenv("NODE_RANK", raising=False)
    assert is_main_process()
    monkeypatch.setenv("LOCAL_RANK", "0")
    assert is_main_process()
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert not is_main_process()
    monkeypatch.setenv("LOCAL_RANK", "0")
    monkeypatch.setenv("NODE_RANK", "1")
    assert not is_main_process()


def test_other_ranks_leave_signals_to_rank_0(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "1")
    with Signals() as signals:
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)
        assert signals.received is None


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel ends ranks on Linux only")
def test_a_rank_ends_with_the_process_that_started_it() -> None:
    follow = (
        "import time; from tltool.run.ranks import follow_main_process;"
        "follow_main_process(); print('following', flush=True); time.sleep(60)"
    )
    main = (
        "import subprocess, sys;"
        f"rank = subprocess.Popen([sys.executable, '-c', {follow!r}]);"
        "print(rank.pid, flush=True); rank.wait()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", main], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        lines = {process.stdout.readline().strip(), process.stdout.readline().strip()}
        [rank] = lines - {"following"}
        for number in (signal.SIGTERM, signal.SIGINT):
            os.kill(int(rank), number)
        time.sleep(0.2)
        assert Path(f"/proc/{rank}").exists()
        process.kill()
    for _ in range(50):
        if not _alive(rank):
            return
        time.sleep(0.1)
    raise AssertionError("it lives on")


def _alive(pid: str) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def test_a_batch_that_cannot_be_shared_equally_is_refused(domains: Any) -> None:
    given = [*domains.overrides(), "dataset.batch_size=15", *DDP]
    config = resolve(given).config
    with pytest.raises(UserError, match=r"dataset.batch_size=15: .* hardware.devices=2, so type"):
        build(config, checked_reader(config["dataset"]))


@pytest.mark.slow
def test_two_processes_train_what_one_does(
    start: Start, run: Any, domains: Any, tmp_path: Path
) -> None:
    given = [*domains.overrides(), "experiment=smoke", "steps=10", *NETWORK]
    two = start(*given, *DDP, f"run_dir={tmp_path / 'two'}")
    run(tmp_path / "one", "steps=10", *NETWORK)
    out, err = two.communicate(timeout=300)
    assert (two.returncode, err) == (0, "")
    assert out.count(f"run {tmp_path / 'two'}") == 1
    assert not of_run(tmp_path / "two")
    record = json.loads((tmp_path / "two" / "record.json").read_text())
    assert record["hardware"]["devices"] == 2
    assert record["hardware"]["threads"] == 1
    assert len(record["commands"]) == 1
    for one, both in zip(rows(tmp_path / "one"), rows(tmp_path / "two"), strict=True):
        assert one.keys() == both.keys()
        for key, value in one.items():
            assert float(both[key]) == pytest.approx(float(value), rel=1e-4), key
    one, both = weights(tmp_path / "one"), weights(tmp_path / "two")
    assert one.keys() == both.keys()
    for name, tensor in one.items():
        torch.testing.assert_close(both[name], tensor, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_interruption_stops_all_ranks_and_can_be_resumed(
    number: signal.Signals, start: Start, run: Any, domains: Any, tmp_path: Path
) -> None:
    path = tmp_path / "two"
    given = [*domains.overrides(), "experiment=smoke", "steps=100", *NETWORK]
    process = start(*given, *DDP, f"run_dir={path}")
    while not (path / "metrics.csv").is_file() or len(rows(path)) < 3:
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    if number == signal.SIGTERM:  # as `kill PID` sends it
        process.send_signal(number)
    else:  # as a terminal sends Ctrl-C
        os.killpg(process.pid, number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert err == f"interrupted by {number.name}; go on with: tltool train --resume {path}\n"
    assert not of_run(path)
    assert json.loads((path / "results.json").read_text())["status"] == "interrupted"
    assert (path / "checkpoints" / "last.ckpt").is_file()
    assert 3 <= len(rows(path)) < 100

    if number == signal.SIGINT:
        return  # one resumption is enough: the checkpoint is the same
    resumed = start("--resume", str(path))
    run(tmp_path / "one", "steps=100", *NETWORK)
    _, err = resumed.communicate(timeout=300)
    assert (resumed.returncode, err) == (0, "")
    assert [row["step"] for row in rows(path)] == [str(step) for step in range(1, 101)]
    one, both = weights(tmp_path / "one"), weights(path)
    for name, tensor in one.items():  # rounding differs between one process and two, and adds up
        torch.testing.assert_close(both[name], tensor, rtol=1e-2, atol=1e-3)


@pytest.mark.slow
def test_controls_selection_and_report_work_in_two_processes(
    start: Start, domains: Any, tmp_path: Path
) -> None:
    given = [*domains.overrides(), "experiment=smoke", *DDP, f"run_dir={tmp_path}"]
    process = start(*given, "strategy=dann", "controls=true", "selection=source_val", "report=true")
    _, err = process.communicate(timeout=300)
    assert (process.returncode, err) == (0, "")
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["status"] == "done"
    assert results["verdict"]["control"] == "source_only"
    control = tmp_path / "controls" / "source_only"
    assert json.loads((control / "results.json").read_text())["status"] == "done"
    assert json.loads((control / "record.json").read_text())["hardware"]["devices"] == 2
    assert (tmp_path / "report.html").is_file()


@pytest.mark.slow
def test_a_loss_that_is_not_finite_is_told_once(start: Start, domains: Any, tmp_path: Path) -> None:
    given = [*domains.overrides(), "experiment=smoke", *DDP, f"run_dir={tmp_path}"]
    process = start(*given, "optimizer.lr=1e20")
    _, err = process.communicate(timeout=300)
    assert process.returncode == 1
    [line] = err.splitlines()
    assert line.startswith("error: the loss term 'classification' is ")
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["status"] == "failed"
    assert "error: " + results["reason"] == line
