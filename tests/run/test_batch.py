"""Several runs in folders: what is done is kept, what is another run is left alone."""

import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tltool.config.compose import resolve
from tltool.errors import UserError
from tltool.run.batch import Job, check_jobs, mean_and_sd, run_jobs, seeds_of, split_off


def test_lists_are_taken_out_of_what_was_typed() -> None:
    typed = ["strategy=a, b", "seed=1", "+seeds=[0,2]", "steps=3", "strategy.x=4"]
    assert split_off(typed, "seed", "seeds") == (
        ["0", "2"],
        ["strategy=a, b", "steps=3", "strategy.x=4"],
    )
    assert split_off(typed, "strategy")[0] == ["a", "b"]
    assert split_off(["x=1"], "strategy") == (None, ["x=1"])


@pytest.mark.parametrize("texts", [["a"], ["1", "-1"], ["1", "01"], [""], ["1.5"]])
def test_seeds_are_whole_numbers_none_twice(texts: list[str]) -> None:
    assert seeds_of(["0", "12"]) == (0, 12)
    with pytest.raises(UserError, match="seeds=.*: whole numbers wanted, none twice"):
        seeds_of(texts)


def test_mean_and_sample_standard_deviation() -> None:
    assert mean_and_sd([0.5, 0.7, 0.9]) == pytest.approx((0.7, 0.2))
    assert mean_and_sd([0.5]) == (0.5, None)


def test_jobs_run_once_and_a_failure_costs_only_itself(domains: Any, tmp_path: Path) -> None:
    def job(name: str, *overrides: str) -> Job:
        given = [*domains.overrides(), "experiment=smoke", "hardware=cpu", *overrides]
        return Job(name, resolve(given), tmp_path / name)

    jobs = [job("good"), job("bad", "optimizer.lr=1e20")]
    check_jobs(jobs, "curve")
    first = run_jobs(jobs, ["tltool"], Console(quiet=True))
    again = run_jobs(jobs, ["tltool"], Console(quiet=True))
    assert [one.done for one in first] == [one.done for one in again] == [True, False]
    assert "the loss term" in again[1].results["reason"]
    assert first[0].results == again[0].results
    assert first[0].seconds == again[0].seconds > 0
    records = [json.loads((one.path / "record.json").read_text()) for one in jobs]
    assert [len(record["commands"]) for record in records] == [1, 2]

    # A folder in which nothing was trained is free, one with a finished run is not.
    (tmp_path / "bad/checkpoints/last.ckpt").unlink(missing_ok=True)
    check_jobs([job("bad", "optimizer.lr=0.1")], "curve")
    with pytest.raises(UserError) as error:
        check_jobs([job("good", "steps=7", "run_dir=x"), job("new", "hardware.devices=2")], "curve")
    assert error.value.problems == (
        "run_dir=x: with curve type --out=FOLDER",
        f"{tmp_path}/good holds another run: type another --out=FOLDER",
        "hardware.devices above 1 cannot be used with curve: only a single train takes it",
    )
