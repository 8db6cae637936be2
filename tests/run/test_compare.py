"""What validators would have chosen among runs, by figures worked out by hand."""

import json

import pytest

from tltool.errors import UserError
from tltool.run.compare import choices, finished_runs, scored_runs


@pytest.fixture
def sweep(tmp_path):
    """Two runs of two epochs, an unfinished one, and a control."""

    def write(path, status="done", rows=(), **results):
        folder = tmp_path / path
        folder.mkdir(parents=True)
        head = {"status": status, "dataset": "digits", "strategy": "dann", "seed": 0, "metrics": {}}
        (folder / "results.json").write_text(json.dumps(head | results))
        lines = ["step,epoch,validator/snd,target_test/accuracy"]
        lines += [f"{i},{i},{snd},{accuracy}" for i, (snd, accuracy) in enumerate(rows, 1)]
        (folder / "metrics.csv").write_text("\n".join(lines) + "\n")
        return folder

    write("sweep/0", rows=[(1.0, 0.5), (3.0, 0.6)])
    write("sweep/1", rows=[(4.0, 0.7), (2.0, 0.9)])
    write("sweep/1/controls/source_only", rows=[(9.0, 0.1)])
    write("sweep/2", status="failed")
    return tmp_path / "sweep"


def test_finished_runs_are_found_without_their_controls(sweep):
    assert [path.name for path, _ in finished_runs([sweep])] == ["0", "1"]
    assert [path.name for path, _ in finished_runs([sweep / "1", sweep])] == ["1", "0"]


def test_choices_by_hand(sweep):
    last, snd, oracle = choices(scored_runs(finished_runs([sweep])))
    assert (last.rule, last.runs, last.run) == ("last", 2, None)
    assert last.within == pytest.approx((0.6 + 0.9) / 2) and last.within_cost == pytest.approx(0.0)
    # snd takes epoch 2 of the first run (right) and epoch 1 of the second (0.2 too low) ...
    assert snd.within == pytest.approx((0.6 + 0.7) / 2)
    assert snd.within_cost == pytest.approx((0.0 + 0.2) / 2)
    # ... and of all four the first epoch of the second run.
    assert (snd.run, snd.epoch, snd.accuracy) == (str(sweep / "1"), 1, 0.7)
    assert snd.cost == pytest.approx(0.2)
    assert (oracle.rule, oracle.run, oracle.epoch, oracle.cost) == (
        "oracle", str(sweep / "1"), 2, 0.0,
    )  # fmt: skip


def test_what_cannot_be_compared_is_refused(sweep, tmp_path):
    with pytest.raises(UserError, match="no such folder"):
        finished_runs([tmp_path / "nowhere"])
    with pytest.raises(UserError, match="no finished run in it"):
        finished_runs([sweep / "2"])
    with pytest.raises(UserError, match="train them with validator=all"):
        scored_runs([(sweep / "2", {"dataset": "digits"})])
    with pytest.raises(UserError, match="runs on different data"):
        scored_runs([(sweep / "0", {"dataset": "a"}), (sweep / "1", {"dataset": "b"})])
