"""What only a CUDA device shows; run with `pytest -m gpu`."""

from pathlib import Path
from typing import Any

import pytest
import torch

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("option", ["precision=auto", "precision=32", "compile=true"])
@pytest.mark.parametrize("strategy", ["dann", "linear_probe"])
def test_a_run_on_the_device(strategy: str, option: str, run: Any, tmp_path: Path) -> None:
    assert torch.cuda.is_available(), "this test needs a CUDA device"
    results = run(tmp_path, f"strategy={strategy}", "hardware=gpu", f"hardware.{option}")
    assert results["status"] == "done"


def test_bf16_is_chosen_where_the_device_has_it() -> None:
    from tltool.run.hardware import Hardware

    assert Hardware().precision == "bf16-mixed"
    assert Hardware(accelerator="cpu").precision == "32-true"


def test_two_runs_with_one_seed_agree(run: Any, tmp_path: Path) -> None:
    a, b = (run(tmp_path / name, "strategy=dann", "hardware=gpu") for name in "ab")
    for metric, value in a["metrics"].items():
        assert b["metrics"][metric] == pytest.approx(value, abs=0.07)  # one of 15 images
