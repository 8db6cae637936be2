"""`tltool compare` on two short runs."""

import json
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="module")
def runs(domains: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seeds of entropy minimisation that recorded every validator."""
    from rich.console import Console

    from tltool.config.compose import resolve
    from tltool.run.execute import execute

    folder = tmp_path_factory.mktemp("compare")
    given = [*domains.overrides(), "experiment=smoke", "hardware=cpu", "strategy=entropy"]
    for seed in (0, 1):
        resolved = resolve([*given, "steps=6", "validator=all", f"seed={seed}"])
        execute(resolved, folder / str(seed), ["tltool", "train"], Console(quiet=True))
    return folder


def test_runs_stand_side_by_side(cli: Any, runs: Path) -> None:
    shown = cli("compare", str(runs))
    assert shown.code == 0 and shown.out.count("entropy") == 2
    rows = json.loads(cli("compare", str(runs), "--json").out)
    assert [row["seed"] for row in rows] == [0, 1]
    assert all(0 <= row["target_test/accuracy"] <= 1 for row in rows)


def test_every_validator_is_told_with_its_cost_and_the_oracle_apart(cli: Any, runs: Path) -> None:
    rows = json.loads(cli("compare", str(runs), "--validators", "--json").out)
    assert [row["rule"] for row in rows] == [
        *("last", "entropy", "information_maximisation", "bnm", "snd", "dev"),
        *("importance_weighted", "reverse_validation", "source_val", "oracle"),
    ]
    assert all(row["runs"] == 2 and row["within_cost"] >= 0 for row in rows)
    assert rows[-1]["cost"] == 0
    shown = cli("compare", str(runs), "--validators").out
    assert "information_maximisation" in shown and "for study only" in shown
    assert not any(line.startswith("oracle ") for line in shown.splitlines())


def test_what_is_no_run_is_refused_in_one_line(cli: Any, tmp_path: Path) -> None:
    outcome = cli("compare", str(tmp_path))
    assert outcome.code == 2 and len(outcome.problems) == 1
    assert "no finished run in it" in outcome.problems[0]
