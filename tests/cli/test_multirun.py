"""`tltool train -m`: one folder for each combination, and a failure costs one of them."""

import json
import shlex
import signal
from pathlib import Path
from typing import Any

import pytest

from tltool.run.history import History

SMOKE = ("experiment=smoke", "hardware=cpu")


def results(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((path / "results.json").read_text())
    return found


def record(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((path / "record.json").read_text())
    return found


@pytest.fixture
def sweep(cli: Any, domains: Any, tmp_path: Path) -> Any:
    """Runs a multirun on the small data in the folder ``out``."""

    def call(*args: str) -> Any:
        return cli(
            "train", "-m", *domains.overrides(), *SMOKE, *args, f"hydra.sweep.dir={tmp_path}/out"
        )

    return call


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Strategies of the user's own: a folder of options, and an importable package."""
    package = tmp_path / "own" / "mykit"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "methods.py").write_text(
        "import os\n"
        "from tltool.strategies.adaptation.source_only import SourceOnly\n\n"
        "class Mine(SourceOnly):\n"
        "    def __init__(self, weight: float = 1.0) -> None:\n"
        "        super().__init__()\n"
        "        self.weight = weight\n\n"
        "class Broken(SourceOnly):\n"
        "    def loss(self, net, batch, progress):\n"
        "        raise KeyError('a bug')\n\n"
        "class Killed(SourceOnly):\n"
        "    def loss(self, net, batch, progress):\n"
        "        os._exit(9)\n"
    )
    folder = tmp_path / "mine"
    (folder / "strategy").mkdir(parents=True)
    for name in ("Mine", "Broken", "Killed"):
        path = folder / "strategy" / f"{name.lower()}.yaml"
        path.write_text(f"# My own\n_target_: mykit.methods.{name}\n")
    monkeypatch.syspath_prepend(package.parent)
    monkeypatch.setenv("PYTHONPATH", str(package.parent))  # for the workers of a launcher
    monkeypatch.setenv("TLTOOL_ALLOW", "mykit.")
    return folder


def test_every_combination_has_a_folder_and_a_line(sweep: Any, tmp_path: Path) -> None:
    done = sweep("strategy=source_only,dann", "seed=0,1")
    assert (done.code, done.err) == (0, "")
    assert sorted(path.name for path in (tmp_path / "out").iterdir() if path.is_dir()) == [*"0123"]
    found = [results(tmp_path / "out" / number) for number in "0123"]
    assert [(one["strategy"], one["seed"], one["status"]) for one in found] == [
        ("source_only", 0, "done"),
        ("source_only", 1, "done"),
        ("dann", 0, "done"),
        ("dann", 1, "done"),
    ]
    assert found[0]["metrics"] != found[1]["metrics"] or found[2]["metrics"] != found[3]["metrics"]
    table = done.out.splitlines()[-5:]
    assert "target_test/accuracy" in table[0]
    for number, line in enumerate(table[1:]):
        assert line.startswith(f"{tmp_path}/out/{number}") and " done " in line
    assert "4 runs in" in done.out
    assert "strategy=dann seed=1" in done.out


def test_one_bad_value_is_refused_before_anything_starts(sweep: Any, tmp_path: Path) -> None:
    refused = sweep("strategy=dann,dannn", "seed=0,1")
    assert refused.code == 2
    [problem] = refused.problems
    assert problem.startswith("strategy=dannn: no such strategy; did you mean 'dann'?")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["run_dir=x"], "run_dir=x: with -m type hydra.sweep.dir=FOLDER"),
        (["hardware.devices=1,2"], "hardware.devices above 1 cannot be used with -m"),
        (["hydra.sweep.subdir=x"], "hydra.sweep.subdir=x: the runs' folders are numbered"),
        (["hydra.sweep.dir=${name}"], "hydra.sweep.dir=${name}: it is one folder"),
        (["hydra.sweep.dir=a,b"], "hydra.sweep.dir=a,b: it is one folder"),
        (["hydra.sweep.dir=[a"], "hydra.sweep.dir=[a: cannot be read; quote it"),
    ],
)
def test_what_belongs_to_single_runs_or_to_hydra_is_refused(
    args: list[str], said: str, cli: Any, domains: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    refused = cli("train", "-m", *domains.overrides(), *SMOKE, "seed=0,1", *args)
    assert refused.code == 2
    assert refused.problems[0].startswith(said)
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_fails_costs_only_itself(sweep: Any, tmp_path: Path) -> None:
    done = sweep("optimizer.lr=1e20,0.01")
    assert done.code == 1
    [problem] = done.problems
    failed = tmp_path / "out" / "0"
    assert problem.startswith(f"{failed}: the loss term 'classification' is ")
    assert results(failed)["status"] == record(failed)["status"] == "failed"
    assert results(failed)["reason"] == record(failed)["reason"]
    assert f"{failed}: {results(failed)['reason']}" in done.out  # after the table too
    assert results(tmp_path / "out" / "1")["status"] == "done"


def test_the_same_sweep_again_keeps_what_is_done_and_tries_the_rest(
    sweep: Any, tmp_path: Path
) -> None:
    sweep("optimizer.lr=0.01,1e20")
    before = (tmp_path / "out/0/model.safetensors").stat().st_mtime_ns
    again = sweep("optimizer.lr=0.01,1e20")
    assert again.code == 1
    assert (tmp_path / "out/0/model.safetensors").stat().st_mtime_ns == before
    assert len(record(tmp_path / "out/0")["commands"]) == 1
    assert len(record(tmp_path / "out/1")["commands"]) == 2


def test_another_sweep_into_the_same_folder_is_refused(sweep: Any, tmp_path: Path) -> None:
    sweep("seed=0,1")
    refused = sweep("seed=0,2")
    assert refused.code == 2
    assert refused.problems == [
        f"{tmp_path}/out/1 holds another run: type another hydra.sweep.dir=FOLDER"
    ]
    assert results(tmp_path / "out" / "1")["seed"] == 1


def test_an_interruption_stops_the_sweep_which_then_goes_on(
    sweep: Any, cli: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = History.log

    def interrupt(self: History, row: Any) -> None:
        log(self, row)
        if self.folder.path.name == "1":
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(History, "log", interrupt)
        stopped = sweep("seed=0,1,2")
    assert stopped.code == 130
    out = tmp_path / "out"
    assert [results(out / number)["status"] for number in "01"] == ["done", "interrupted"]
    assert not (out / "2").exists()
    said, _, command = stopped.err.strip().partition("; go on with: tltool ")
    assert said == "interrupted by SIGINT"
    on = cli(*shlex.split(command))
    assert (on.code, on.err) == (0, "")
    assert [results(out / number)["status"] for number in "012"] == ["done"] * 3
    assert [len(record(out / number)["commands"]) for number in "012"] == [1, 2, 1]


def test_an_interruption_between_two_runs_stops_the_sweep_too(
    sweep: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gc.collect", lambda: signal.raise_signal(signal.SIGTERM))
    assert sweep("seed=0,1").code == 143
    assert not (tmp_path / "out" / "1").exists()


def test_folders_may_have_any_name(
    cli: Any, domains: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    given = ["train", "-m", *domains.overrides(), *SMOKE, "seed=0"]
    assert cli(*given, "hydra.sweep.dir='it\\'s, (mine) = 50%'").code == 0
    assert results(tmp_path / "it's, (mine) = 50%" / "0")["status"] == "done"
    assert cli(*given).code == 0
    [folder] = (tmp_path / "runs" / "multirun").iterdir()
    assert results(folder / "0")["status"] == "done"


def test_a_strategy_of_ones_own_runs_alone_and_in_a_sweep(
    own: Path, cli: Any, sweep: Any, domains: Any, tmp_path: Path
) -> None:
    given = ["train", "--config-dir", str(own), *domains.overrides(), *SMOKE]
    alone = cli(*given, "strategy=mine", "strategy.weight=0.5", f"run_dir={tmp_path / 'alone'}")
    assert (alone.code, alone.err) == (0, "")
    assert results(tmp_path / "alone")["strategy"] == "mine"
    both = sweep("--config-dir", str(own), "strategy=mine,source_only")
    assert (both.code, both.err) == (0, "")
    found = [results(tmp_path / "out" / number) for number in "01"]
    assert [one["strategy"] for one in found] == ["mine", "source_only"]
    assert found[0]["metrics"] == found[1]["metrics"]  # it does the same


def test_a_package_that_is_not_allowed_is_refused(
    own: Path, sweep: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TLTOOL_ALLOW")
    refused = sweep("--config-dir", str(own), "strategy=mine,source_only")
    assert refused.code == 2
    assert "strategy._target_=mykit.methods.Mine: not allowed" in refused.problems[0]


def test_a_bug_costs_only_its_run_and_log_txt_has_the_traceback(
    own: Path, sweep: Any, tmp_path: Path
) -> None:
    done = sweep("--config-dir", str(own), "strategy=broken,mine")
    assert done.code == 1
    assert [results(tmp_path / "out" / number)["status"] for number in "01"] == ["failed", "done"]
    assert done.problems == [f"{tmp_path}/out/0: 'a bug'"]
    assert "raise KeyError('a bug')" in (tmp_path / "out" / "0" / "log.txt").read_text()


@pytest.mark.slow
def test_other_launchers_work_and_a_worker_that_is_killed_is_a_failed_run(
    own: Path, sweep: Any, tmp_path: Path
) -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    joblib = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
    done = sweep(*joblib, "--config-dir", str(own), "strategy=mine,source_only", "seed=0,1")
    assert done.code == 0
    assert [results(tmp_path / "out" / number)["status"] for number in "0123"] == ["done"] * 4
    assert done.out.count(" done ") == 4
    killed = sweep(
        *joblib, "--config-dir", str(own), "strategy=mine,source_only", "seed=0,1,2", "steps=5"
    )
    assert killed.code == 2  # the folder holds the first sweep
    (tmp_path / "out").rename(tmp_path / "first")
    killed = sweep(*joblib, "--config-dir", str(own), "strategy=mine,killed")
    assert killed.code == 1
    assert "status" in killed.out  # the table is shown all the same
    assert record(tmp_path / "out" / "1")["status"] == "running"
