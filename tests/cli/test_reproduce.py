"""`tltool reproduce` from the list to the figures."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from tltool.run.history import History

PROTOCOL = """
title: Training against no training
source: A paper, table 1
needs: {dataset.source: FOLDER}
seeds: [0, 1]
overrides: dataset=image_folder experiment=smoke hardware=cpu strategy=finetune
runs:
  - {name: trained, overrides: steps=8 optimizer.lr=0.05}
  - {name: untrained, overrides: steps=1 optimizer.lr=1e-9}
figures:
  - {of: trained, metric: source_test/accuracy, published: 0.5, at_least: 0.0, differs: few images}
  - {of: trained, minus: untrained, metric: source_test/accuracy, at_least: AT_LEAST}
"""


@pytest.fixture
def reproduce(cli: Any, domains: Any, tmp_path: Path) -> Any:
    """Runs a protocol of the user's own, whose second figure has that bar."""

    def call(*args: str, at_least: float = -1.0) -> Any:
        folder = tmp_path / "mine" / "protocol"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "toy.yaml").write_text(PROTOCOL.replace("AT_LEAST", str(at_least)))
        out = ("--out", str(tmp_path / "out"), "--config-dir", str(tmp_path / "mine"))
        return cli("reproduce", "toy", f"dataset.source={domains.source}", *args, *out)

    return call


def test_protocols_are_listed(cli: Any) -> None:
    listed = json.loads(cli("reproduce", "--json").out)
    assert {"mnist_m", "ants_bees"} <= {one["name"] for one in listed}
    assert "Ganin et al." in cli("reproduce").out


def test_figures_are_compared_kept_and_compared_again(reproduce: Any, tmp_path: Path) -> None:
    done = reproduce()
    assert (done.code, done.err) == (0, "")
    report = json.loads((tmp_path / "out" / "reproduce.json").read_text())
    assert report["reached"] and report["seeds"] == [0, 1]
    assert [(run["name"], run["seed"]) for run in report["runs"]] == [
        ("trained", 0), ("untrained", 0), ("trained", 1), ("untrained", 1)
    ]  # fmt: skip
    figures = [run["metrics"]["source_test/accuracy"] for run in report["runs"]]
    gain = report["figures"][1]
    assert gain["values"] == pytest.approx([figures[0] - figures[1], figures[2] - figures[3]])
    assert "trained - untrained" in done.out and "≥ -100.0 points" in done.out
    assert "[1] the published setting differs: few images" in done.out
    assert "reached     2 of 2 figures" in done.out
    weights = tmp_path / "out" / "trained-seed0" / "model.safetensors"
    before = weights.stat().st_mtime_ns

    again = reproduce("--json", at_least=1.5)
    assert again.code == 1
    assert weights.stat().st_mtime_ns == before
    missed = json.loads(again.out)
    assert [one["verdict"] for one in missed["figures"]] == ["reached", "below"]
    assert missed["figures"][1]["values"] == gain["values"]
    assert again.err.count("done before") == 4

    other = reproduce("steps=9")
    assert other.code == 2
    assert "trained-seed0 holds another run: type another --out=FOLDER" in other.problems[0]


def test_an_interruption_goes_on_with_the_same_command(
    reproduce: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = History.log

    def interrupt(self: History, row: Any) -> None:
        log(self, row)
        if self.folder.path.name == "untrained-seed0":
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(History, "log", interrupt)
        stopped = reproduce("seeds=0")
    assert stopped.code == 130
    assert stopped.err.startswith("interrupted by SIGINT; go on with: tltool reproduce toy ")
    on = reproduce("seeds=0")
    assert on.code == 0
    assert "trained seed 0: done before" in on.out
    assert "one seed only: no spread" in on.out and "the protocol has 0, 1" in on.out


def test_what_is_missing_or_unknown_is_refused(cli: Any) -> None:
    assert cli("reproduce", "mnist_n").problems == [
        f"mnist_n: no such protocol; did you mean 'mnist_m'? ({', '.join(_names(cli))})"
    ]
    refused = cli("reproduce", "ants_bees", "stepz=3")
    assert refused.code == 2
    assert refused.problems[0].startswith("ants_bees needs dataset.source: type dataset.source=")
    assert refused.problems[1] == "stepz=3: no such key; did you mean 'steps'?"
    gone = cli("reproduce", "ants_bees", "dataset.source=/nowhere")
    assert (gone.code, gone.problems) == (2, ["dataset.source=/nowhere: no such folder"])


def _names(cli: Any) -> list[str]:
    return [one["name"] for one in json.loads(cli("reproduce", "--json").out)]
