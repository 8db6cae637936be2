"""Multiruns: what is planned is what Hydra runs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from tltool.config.compose import hydra_arguments, plan, resolve, resolve_node
from tltool.errors import UserError

pytestmark = pytest.mark.usefixtures("conf")


def test_sweeps_are_expanded_in_order() -> None:
    assert plan(["seed=0,1", "strategy=dann,coral", "epochs=3", "hydra/launcher=joblib"]) == [
        ["seed=0", "strategy=dann", "epochs=3"],
        ["seed=0", "strategy=coral", "epochs=3"],
        ["seed=1", "strategy=dann", "epochs=3"],
        ["seed=1", "strategy=coral", "epochs=3"],
    ]


def test_ranges_and_globs_are_expanded() -> None:
    assert [run[0] for run in plan(["seed=range(1,4)"])] == ["seed=1", "seed=2", "seed=3"]
    assert plan(["strategy=glob(*,exclude=s*)"]) == [["strategy=coral"], ["strategy=dann"]]
    assert plan([]) == [[]]


def test_every_run_is_checked_and_each_problem_said_once() -> None:
    with pytest.raises(UserError) as caught:
        plan(["strategy=dann,source_only", "strategy.hidden=7", "seed=0,x", "sed=1"])
    assert [problem.partition(": ")[0] for problem in caught.value.problems] == [
        "sed=1",
        "seed=x",
        "strategy.hidden=7",
    ]


@pytest.mark.parametrize("arg", ["optimizer.lr=interval(0,1)", "seed=[1"])
def test_what_cannot_be_expanded_is_refused(arg: str) -> None:
    with pytest.raises(UserError, match=r"^(optimizer.lr=interval\(0,1\)|seed=\[1): "):
        plan([arg])


def test_arguments_for_hydra_take_signature_keys(kit: Path) -> None:
    mine = kit / "it's mine"
    (mine / "sweep").mkdir(parents=True)
    args = [
        "seed=0,1",
        "+strategy=dann",
        "+strategy.hidden=7",
        "~optimizer.lr",
        "hydra.verbose=true",
    ]
    assert hydra_arguments([*args, "sweep=big"], [mine]) == [
        rf"hydra.searchpath=['file://{kit}/it\'s mine']",
        "++seed=0,1",
        "strategy=dann",
        "++strategy.hidden=7",
        "~optimizer.lr",
        "hydra.verbose=true",
        "+sweep=big",
    ]


JOB = """
import json, sys
import hydra
from hydra.core.hydra_config import HydraConfig
from tltool.config.compose import resolve_node, load_option

@hydra.main(config_path=sys.argv.pop(1), config_name="config", version_base="1.3")
def main(config):
    job = HydraConfig.get()
    resolved = resolve_node(config, job.runtime.choices, job.overrides.task)
    load_option("strategy", "coral")  # composes inside a job
    print(json.dumps(resolved.saved()))

main()
"""


def test_a_real_multirun_gives_what_was_planned(kit: Path, conf: Path) -> None:
    (kit / "job.py").write_text(JOB)
    mine = kit / "a mine"
    (mine / "optimizer").mkdir(parents=True)
    (mine / "optimizer" / "mine.yaml").write_text("_target_: fakekit.parts.Step\nlr: 5\n")
    args = ["seed=0,1", "strategy=dann", "strategy.hidden=7", "optimizer=mine", "experiment=smoke"]
    repo = Path(__file__).parents[2]
    result = subprocess.run(
        [sys.executable, "job.py", str(conf), "-m", *hydra_arguments(args, [mine])],
        cwd=kit,
        env={**os.environ, "PYTHONPATH": f"{repo}:{kit}", "TLTOOL_CONF": str(conf)},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    printed = [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]
    assert printed == [resolve(run, [mine]).saved() for run in plan(args, [mine])]


def test_a_node_is_checked_like_what_is_typed() -> None:
    good = resolve(["strategy=dann"])
    config = OmegaConf.create({**good.config, "hydra": {"job": {}}, "sed": 1})
    with pytest.raises(UserError, match=r"^\+\+sed=1: no such key; did you mean 'seed'\?$"):
        resolve_node(config, {**good.choices, "hydra/launcher": "basic"}, ["++sed=1"])
    del config["sed"]
    assert resolve_node(config, {**good.choices, "hydra/launcher": "basic"}) == good
