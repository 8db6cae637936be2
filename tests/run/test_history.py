import resource

import pytest

from tltool.errors import RunError
from tltool.run.folder import RunFolder
from tltool.run.history import FILE, History, Loggers, read_history

ROWS = [
    {"step": 2, "epoch": 1, "train/loss": 1 / 3},
    {"step": 4, "epoch": 1, "train/loss": 1e-17, "train/accuracy": 0.1 + 0.2},
    {"step": 4, "epoch": 1, "source_val/accuracy": 0.0},
    {"step": 6, "epoch": 2, "train/loss": 123456789.123456789},
]


@pytest.fixture
def folder(tmp_path):
    with RunFolder(tmp_path / "run").locked() as locked:
        yield locked


def logged(folder: RunFolder, rows=ROWS, keep_steps: int = 0, **options) -> History:
    history = History(folder, Loggers(**options), {}, keep_steps)
    for row in rows:
        history.log(row)
    return history


def test_rows_read_back_exactly_with_columns_that_come_later(folder):
    history = logged(folder)
    assert history.rows == ROWS
    assert read_history(folder.path / FILE) == ROWS


def test_the_file_is_a_plain_table(folder):
    logged(folder, ROWS[:3])
    assert (folder.path / FILE).read_bytes().decode() == (
        "step,epoch,train/loss,train/accuracy,source_val/accuracy\n"
        "2,1,0.3333333333333333,,\n"
        "4,1,1e-17,0.30000000000000004,\n"
        "4,1,,,0.0\n"
    )


def test_appended_rows_end_as_rewritten_ones_do(folder):
    logged(folder, [ROWS[0], {**ROWS[0], "step": 3}])
    assert b"\r" not in (folder.path / FILE).read_bytes()


def test_a_resumed_run_keeps_the_rows_up_to_its_step(folder):
    logged(folder)
    resumed = logged(folder, [{"step": 6, "epoch": 2, "train/loss": 7.0}], keep_steps=4)
    assert resumed.rows == [*ROWS[:3], {"step": 6, "epoch": 2, "train/loss": 7.0}]
    assert read_history(folder.path / FILE) == resumed.rows


def test_a_run_from_the_start_keeps_no_row_of_before(folder):
    logged(folder)
    assert logged(folder, []).rows == []
    assert read_history(folder.path / FILE) == []


@pytest.mark.parametrize("cut", range(1, 12))
def test_an_unfinished_last_line_is_dropped(folder, cut):
    logged(folder)
    path = folder.path / FILE
    path.write_bytes(path.read_bytes()[:-cut])
    assert read_history(path) == ROWS[:3]


def test_a_file_of_which_only_the_header_began_has_no_rows(folder):
    (folder.path / FILE).write_text("step,ep")
    assert read_history(folder.path / FILE) == []


def test_without_the_csv_logger_rows_stay_in_memory(folder):
    assert logged(folder, csv=False).rows == ROWS
    assert not (folder.path / FILE).exists()


def test_other_ranks_keep_rows_and_write_nothing(folder, monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert logged(RunFolder(folder.path)).rows == ROWS
    assert not (folder.path / FILE).exists()


def test_a_full_disk_is_told_with_how_to_go_on(folder):
    history = logged(folder)
    size = (folder.path / FILE).stat().st_size
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 5, limits[1]))  # Python ignores SIGXFSZ
    try:
        with pytest.raises(RunError, match=f"tltool train --resume {folder.path}"):
            history.log({"step": 8, "epoch": 2, "train/loss": 0.5})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert read_history(folder.path / FILE) == ROWS
