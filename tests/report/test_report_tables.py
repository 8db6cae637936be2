import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tltool.report import wording
from tltool.report.tables import print_results, show, side_by_side

RESULTS: dict[str, Any] = {
    "status": "done",
    "strategy": "dann",
    "selection": {"rule": "last", "epoch": 12, "epochs": 12},
    "metrics": {"source_test/accuracy": 0.974, "target_test/accuracy": 0.712, "val/loss": 0.25},
    "counts": {"source_train": 2500, "target_test": 500, "total_parameters": 1234567},
    "timing": {"fit_s": 92.3, "examples_per_s": 1630.2},
    "controls": {"source_only": {"source_test/accuracy": 0.98, "target_test/accuracy": 0.414}},
    "verdict": {
        "control": "source_only",
        "metric": "target_test/accuracy",
        "gain": 0.298,
        "interval": [0.25, 0.341],
        "verdict": "positive",
    },
    "warnings": ["the discriminator is constant"],
}
PLAIN = """\
metric                  dann  source_only
source_test/accuracy  97.4 %       98.0 %
target_test/accuracy  71.2 %       41.4 %
val/loss                0.25            -

dann helped: +29.8 points on target_test/accuracy against source_only, 95 % interval +25.0 to +34.1

warning: the discriminator is constant
selection   epoch 12 of 12, chosen by rule `last`; target labels were not used
examples    2,500 source train, 500 target test
model       1,234,567 total parameters
time        1 min 32 s, 1,630 examples/s
run         {run}
report      {run}/report.html
"""  # noqa: E501


def console(**options: Any) -> tuple[Console, io.StringIO]:
    file = io.StringIO()
    return Console(file=file, **options), file


@pytest.fixture(autouse=True)
def no_colour_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)


def test_outside_a_terminal_results_are_plain_and_uncut(tmp_path: Path) -> None:
    run = tmp_path / ("[red]" + "long-name-" * 12)
    run.mkdir()
    (run / "report.html").touch()
    plain, file = console()
    print_results(plain, RESULTS, run)
    assert file.getvalue() == PLAIN.format(run=run)


def test_a_terminal_gets_rules_and_colour_but_whole_paths(tmp_path: Path) -> None:
    run = tmp_path / ("long-name-" * 12)
    terminal, file = console(force_terminal=True, width=60, color_system="standard")
    print_results(terminal, RESULTS, run)
    text = file.getvalue()
    assert "───" in text and "\x1b[32m" in text
    assert str(run) in text
    assert "report.html" not in text, "there is no report in this folder"


def test_a_run_without_results_says_so(tmp_path: Path) -> None:
    plain, file = console()
    print_results(plain, {"status": "failed"}, tmp_path)
    lines = ["status      failed", "selection   not recorded", f"run         {tmp_path}"]
    assert file.getvalue().splitlines() == lines


def test_a_control_of_the_same_strategy_keeps_its_column(tmp_path: Path) -> None:
    plain, file = console()
    metrics, control = {"test/accuracy": 0.5}, {"dann": {"test/accuracy": 0.25}}
    print_results(plain, {"strategy": "dann", "metrics": metrics, "controls": control}, tmp_path)
    assert file.getvalue().splitlines()[1].split() == ["test/accuracy", "50.0", "%", "25.0", "%"]


def test_several_runs_side_by_side() -> None:
    rows = [
        {"run": "a" * 90, "status": "done", "strategy": "dann", "seed": 0, "t/accuracy": 0.7},
        {"run": "b", "status": "failed", "strategy": "coral", "seed": 11, "s/accuracy": None},
    ]
    plain, file = console()
    show(plain, side_by_side(rows))
    head, first, second = (line.split() for line in file.getvalue().splitlines())
    assert head == ["run", "status", "strategy", "seed", "t/accuracy", "s/accuracy"]
    assert first == ["a" * 90, "done", "dann", "0", "70.0", "%", "-"]
    assert second == ["b", "failed", "coral", "11", "-", "-"]


@pytest.mark.parametrize(
    ("verdict", "gain", "words"),
    [
        ("positive", 0.1, "dann helped: +10.0 points"),
        ("none", 0.0, "no clear effect of dann: +0.0 points"),
        ("negative", -0.1, "dann hurt: -10.0 points"),
    ],
)
def test_each_verdict_has_its_words(verdict: str, gain: float, words: str) -> None:
    said = wording.verdict_sentence(
        "dann", {**RESULTS["verdict"], "verdict": verdict, "gain": gain}
    )
    assert said.startswith(words)


def test_further_figures_of_a_comparison_end_the_sentence() -> None:
    said = wording.verdict_sentence("dann", {**RESULTS["verdict"], "delta_m": -0.0134})
    assert said.endswith("95 % interval +25.0 to +34.1, delta_m -1.3 %")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(8.44, "8.4 s"), (59.9, "59.9 s"), (59.97, "1 min 00 s"), (92.3, "1 min 32 s"),
     (3599.9, "1 h 00 min"), (7500, "2 h 05 min")],
)  # fmt: skip
def test_durations(seconds: float, words: str) -> None:
    assert wording.duration(seconds) == words
