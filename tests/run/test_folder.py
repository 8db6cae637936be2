import errno
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tltool.errors import RunError, UserError
from tltool.run.checkpoint import LAST, Checkpoint, load_checkpoint
from tltool.run.folder import RunFolder, new_run_dir, read_config, slug


@pytest.fixture
def folder(tmp_path):
    """A run folder that is locked for the test."""
    with RunFolder(tmp_path / "run").locked() as locked:
        yield locked


def files(path: Path) -> set[str]:
    return {str(file.relative_to(path)) for file in path.rglob("*") if file.is_file()}


def test_a_second_handle_is_refused_until_the_first_is_done(tmp_path):
    path = tmp_path / "deep" / "run"
    with RunFolder(path).locked():
        with pytest.raises(UserError, match="another process is running in this folder") as error:
            with RunFolder(path).locked():
                raise AssertionError("two at once")
        assert error.value.problems[0].startswith(f"run_dir={path}: ")
    with RunFolder(path).locked():
        pass


def test_a_second_process_is_refused(folder):
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from tltool.errors import UserError\n"
        "from tltool.run.folder import RunFolder\n"
        "try:\n"
        "    with RunFolder(Path(sys.argv[1])).locked(): print('locked')\n"
        "except UserError as error: print(error)\n"
    )
    command = [sys.executable, "-c", code, str(folder.path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "another process is running in this folder" in done.stdout


def test_a_folder_that_cannot_be_made_is_the_users_to_change(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="type another run_dir=FOLDER"):
        with RunFolder(tmp_path / "file" / "run").locked():
            raise AssertionError("locked")


def test_left_over_parts_go_when_the_folder_is_locked_again(tmp_path):
    part = tmp_path / "checkpoints" / ".last.ckpt.part"
    part.parent.mkdir()
    part.write_bytes(b"half")
    (tmp_path / "keep.part").write_text("a user's")
    with RunFolder(tmp_path).locked():
        assert not part.exists() and (tmp_path / "keep.part").exists()


def test_text_json_and_yaml_read_back(folder):
    folder.write_text("a.txt", "ä\n")
    folder.write_json("a.json", {"path": Path("x"), "list": [1, 2.5, None]})
    folder.write_yaml("config.yaml", {"b": 1, "a": {"c": [1, "two"]}})
    assert (folder.path / "a.txt").read_text(encoding="utf-8") == "ä\n"
    assert folder.read_json("a.json") == {"path": "x", "list": [1, 2.5, None]}
    assert folder.read_json("missing.json") == {}
    assert read_config(folder.path) == {"b": 1, "a": {"c": [1, "two"]}}
    assert (folder.path / "config.yaml").read_text().startswith("b: 1\n")  # in their order


def test_a_save_that_fails_midway_leaves_the_old_content(folder):
    folder.write_text("results.json", "old")
    before = files(folder.path)

    def save(file):
        file.write(b"half of the new")
        file.flush()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(RunError) as error:
        folder.write("results.json", save)
    assert str(error.value) == (
        f"cannot write {folder.path / 'results.json'}: No space left on device; what was written "
        f"before is whole: make room and type `tltool train --resume {folder.path}`"
    )
    assert (folder.path / "results.json").read_text() == "old"
    assert files(folder.path) == before


def test_a_file_is_replaced_only_once_it_is_whole(folder):
    folder.write_text("results.json", "old")

    def save(file):
        file.write(b"new")
        file.flush()
        assert (folder.path / "results.json").read_text() == "old"

    folder.write("results.json", save)
    assert (folder.path / "results.json").read_text() == "new"


def test_a_full_disk_leaves_the_last_checkpoint_whole(folder):
    """The kernel refuses to let a file grow, as on a full disk, in the middle of torch.save."""
    Checkpoint(run_step=1, learner={"w": torch.ones(10)}).save(folder)
    before = files(folder.path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))  # Python ignores SIGXFSZ
    try:
        with pytest.raises(RunError, match=f"tltool train --resume {folder.path}"):
            Checkpoint(run_step=2, learner={"w": torch.ones(1_000_000)}).save(folder)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert files(folder.path) == before
    loaded = load_checkpoint(folder.path)
    assert loaded.run_step == 1 and loaded.learner is not None
    assert torch.equal(loaded.learner["w"], torch.ones(10))


def test_a_damaged_checkpoint_is_refused(folder):
    Checkpoint(run_step=1, learner={"w": torch.ones(1000)}).save(folder)
    whole = (folder.path / LAST).read_bytes()
    (folder.path / LAST).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="is damaged and cannot be resumed from"):
        load_checkpoint(folder.path)


def test_a_checkpoint_that_would_run_code_is_refused(folder, tmp_path):
    class Harmful:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "harmed"),)

    torch.save({"stage": Harmful()}, folder.path / LAST)
    with pytest.raises(UserError, match="cannot be resumed from"):
        load_checkpoint(folder.path)
    assert not (tmp_path / "harmed").exists()


@pytest.mark.parametrize("variable", ["LOCAL_RANK", "NODE_RANK"])
def test_other_ranks_write_nothing(tmp_path, monkeypatch, variable):
    monkeypatch.setenv(variable, "1")
    with RunFolder(tmp_path / "run").locked() as folder:
        folder.write_text("a.txt", "text")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("text", "slugged"),
    [
        ("resnet18", "resnet18"),
        ("My Photos → Sketches!", "My-Photos-Sketches"),
        ("../../etc/passwd", "etc-passwd"),
        ("a/b\\c\0d\n", "a-b-c-d"),
        ("..", "run"),
        ("", "run"),
        ("-rf", "rf"),
        ("x" * 200, "x" * 80),
    ],
)
def test_a_slug_is_a_harmless_part_of_a_file_name(text, slugged):
    assert slug(text) == slugged


def test_new_run_folders_do_not_exist_yet(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    paths = []
    for _ in range(4):  # within a second, so the times are mostly the same
        paths.append(new_run_dir("my data", "dann seed/0"))
        paths[-1].mkdir(parents=True)
    assert len(set(paths)) == 4
    assert {path.parent for path in paths} == {Path("runs/my-data")}
    assert all("-dann-seed-0" in path.name for path in paths)


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(UserError, match="is no run folder: it has no config.yaml"):
        read_config(tmp_path)


@pytest.mark.parametrize(
    "content",
    [b"", b"just text", b"a: [1", b"a: b: c", b"\xff\xfe\x00", b"!!python/object:os.x {}"],
)
def test_a_config_of_nonsense_is_refused(tmp_path, content):
    (tmp_path / "config.yaml").write_bytes(content)
    with pytest.raises(UserError, match="config.yaml is damaged") as error:
        read_config(tmp_path)
    assert "\n" not in str(error.value)
