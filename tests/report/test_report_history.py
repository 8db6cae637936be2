from pathlib import Path

import numpy as np
import pytest

from tltool.report.history import epochs_trained, read_history, series, series_names


def test_empty_cells_are_absent(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text("step,epoch,train/loss,val/accuracy\n0,0,1.5,\n9,1,,0.5\n")
    history = read_history(path)
    assert history == [
        {"step": 0.0, "epoch": 0.0, "train/loss": 1.5},
        {"step": 9.0, "epoch": 1.0, "val/accuracy": 0.5},
    ]
    assert series_names(history) == ["train/loss", "val/accuracy"]
    assert epochs_trained(history) == 2


def test_an_empty_file_is_an_empty_history(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text("")
    assert read_history(path) == []
    assert epochs_trained([]) is None


def test_a_cell_that_is_no_number_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text("step,loss\n0,much\n")
    with pytest.raises(ValueError, match="much"):
        read_history(path)


def test_series_leaves_out_what_is_not_finite() -> None:
    history = [{"step": 0.0, "a": 1.0}, {"step": 1.0, "a": float("nan")}, {"step": 2.0}]
    steps, values = series(history, "a")
    assert steps.tolist() == [0.0] and values.tolist() == [1.0]


def test_long_series_are_averaged_over_neighbours() -> None:
    history = [{"step": float(i), "a": float(i % 2)} for i in range(1000)]
    steps, values = series(history, "a", points=100)
    np.testing.assert_allclose(steps, 4.5 + 10 * np.arange(100))
    np.testing.assert_allclose(values, 0.5)
