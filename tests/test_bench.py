import importlib
import json
import os
from pathlib import Path
from types import ModuleType

import pytest

SCRIPTS = Path(__file__).parent.parent / "scripts"


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(SCRIPTS)
    return importlib.import_module("bench")


def test_json_has_the_figures_of_the_benchmark_asked_for(bench, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("TLTOOL_CACHE", "kept")
    out = tmp_path / "out.json"
    assert bench.main(["--only", "help", "--quick", "--out", str(out)]) == 0
    written = json.loads(out.read_text())
    assert {"date", "cpu", "cores", "threads", "versions"} <= set(written)
    (one,) = written["benchmarks"]
    assert one["figures"]["heavy_imports"] == []
    assert len(one["figures"]["seconds"]) == 2
    assert min(one["figures"]["seconds"]) <= one["value"] <= max(one["figures"]["seconds"])
    assert "torch is not imported" in capsys.readouterr().out
    assert os.environ["TLTOOL_CACHE"] == "kept"


def test_an_unknown_benchmark_is_refused(bench, capsys):
    with pytest.raises(SystemExit) as refused:
        bench.main(["--only", "steps"])
    assert refused.value.code == 2
    assert "step" in capsys.readouterr().err


def test_both_sides_make_the_same_steps(bench, tmp_path, monkeypatch):
    monkeypatch.setenv("TLTOOL_CACHE", str(tmp_path / "cache"))
    measure = importlib.import_module("benchmarks.measure")
    step = importlib.import_module("benchmarks.step")
    uci = ("dataset=digits", "dataset.source=uci", "dataset.target=null")
    case = step.Case("tiny", (*uci, "dataset.test_fraction=0.9"), 64, 1e9, 1, log_every=2)
    result = step.measure(case, measure.Settings(True, tmp_path, lambda text: None))
    (only,) = result.rounds  # of two epochs, the first one warms up
    assert only.steps == 3  # 180 images in batches of 64
    assert result.value == only.ratio("cpu") > 0
    assert result.passed
    rows = (tmp_path / "tiny" / "metrics.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows] == ["step", "2", "3", "4", "6"]


def test_ratios_are_of_each_round_and_their_median(bench):
    measure = importlib.import_module("benchmarks.measure")
    rounds = [
        measure.Round({"A": measure.Time(a, 2 * a), "B": measure.Time(b, b)}, steps=2)
        for a, b in ((1.0, 1.0), (3.0, 2.0), (8.0, 2.0))
    ]
    assert measure.median_ratio(rounds, "cpu") == 1.5
    assert measure.median_ratio(rounds, "wall") == 3.0
    assert measure.spread(rounds, "cpu") == (1.0, 4.0)
    assert measure.step_ms(rounds, "A", "cpu") == 1500.0
