"""Signals reach a real process, and what it leaves can be resumed."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

STEPS = 400  # long enough to be stopped within


def assert_same_weights(*runs: Path) -> None:
    a, b = (load_file(run / "model.safetensors") for run in runs)
    assert all(torch.equal(a[key], b[key]) for key in a)


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGTERM, 143),
        pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow),
    ],
)
def test_a_signal_ends_a_run_that_resumes_exactly(
    number: int, code: int, cli: Any, domains: Any, tmp_path: Path
) -> None:
    run, whole = tmp_path / "run", tmp_path / "whole"
    given = [*domains.overrides(), "experiment=smoke", "hardware=cpu", "hardware.threads=1"]
    command = [sys.executable, "-m", "tltool", "train", *given]
    process = subprocess.Popen(
        [*command, f"steps={STEPS}", f"run_dir={run}"],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
    )
    while not (run / "metrics.csv").exists() or len((run / "metrics.csv").read_text()) < 200:
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        time.sleep(0.05)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == code
    assert f"tltool train --resume {run}" in errors.splitlines()[-1]
    assert json.loads((run / "results.json").read_text())["status"] == "interrupted"

    checkpoint = torch.load(run / "checkpoints/last.ckpt", weights_only=True)
    assert 0 < checkpoint["step"] < STEPS
    assert cli("train", "--resume", str(run)).code == 0
    assert cli("train", *given, f"steps={STEPS}", f"run_dir={whole}").code == 0
    assert_same_weights(whole, run)


def test_a_killed_run_goes_on_from_its_last_checkpoint(
    cli: Any, domains: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGKILL leaves no time to save: what the timer saved is what a resume starts from."""
    from tltool.run.monitor import Monitor

    given = [*domains.overrides(), "experiment=smoke", "steps=9", "checkpoint_every=0.000001"]
    assert cli("train", *given, f"run_dir={tmp_path / 'whole'}").code == 0
    real = Monitor.on_train_epoch_end

    def killed(self: Monitor, trainer: Any, pl_module: Any) -> None:
        real(self, trainer, pl_module)
        if pl_module.done_steps == 6:
            raise MemoryError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(Monitor, "on_train_epoch_end", killed)
        with pytest.raises(MemoryError):
            cli("train", *given, f"run_dir={tmp_path / 'run'}")
    assert json.loads((tmp_path / "run/results.json").read_text())["reason"] == "killed"
    assert cli("train", "--resume", str(tmp_path / "run")).code == 0
    assert_same_weights(tmp_path / "whole", tmp_path / "run")
