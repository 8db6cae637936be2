import errno
import os
import resource
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Barrier

import numpy as np
import pytest
from PIL import Image

from tltool.data import cache, decoded
from tltool.data.cache import cache_root, load_arrays
from tltool.data.preprocessing import Preprocessing
from tltool.data.readers.base import Reader, digest, encode_png, make_table
from tltool.data.readers.image_folder import ImageFolder
from tltool.data.store import map_array, write_header
from tltool.errors import RunError, UserError

SMALL = Preprocessing(size=8)


class Colours(Reader):
    """Images of one colour each; a number below 0 stands for broken bytes."""

    def __init__(self, values: list[int]) -> None:
        self.values = values
        self.reads = 0

    def problems(self):
        return []

    def fingerprint(self):
        return digest("colours", self.values)

    def read(self):
        self.reads += 1
        pixels = np.array(self.values, dtype=np.int64).clip(0).astype(np.uint8)
        images = encode_png(np.broadcast_to(pixels[:, None, None, None], (len(pixels), 8, 8, 3)))
        n = len(images)
        return make_table(
            [b"broken" if v < 0 else image for v, image in zip(self.values, images, strict=True)],
            [row % 3 - 1 for row in range(n)],
            ["source" if row % 2 else "target" for row in range(n)],
            ["train" if row % 2 else "" for row in range(n)],
            [f"row/{row}" for row in range(n)],
            ["a", "b"],
        )


def folders() -> list[Path]:
    """Lists everything in the cache's folder of decoded images, temporary folders too."""
    decoded = cache_root() / "decoded"
    return sorted(decoded.iterdir()) if decoded.exists() else []


def assert_same(one, other):
    for name in ("stored", "labels", "domains", "splits"):
        a, b = getattr(one, name), getattr(other, name)
        assert a.dtype == b.dtype and a.shape == b.shape and (a == b).all(), name
    for name in ("paths", "class_names", "skipped", "fingerprint"):
        assert getattr(one, name) == getattr(other, name), name


def test_the_arrays_hold_the_table():
    arrays = load_arrays(Colours([5, 6, 7, 8]), SMALL)
    assert arrays.stored.shape == (4, 3, 8, 8) and arrays.stored.dtype == np.uint8
    assert arrays.stored[:, 1, 3, 3].tolist() == [5, 6, 7, 8]
    assert arrays.labels.tolist() == [-1, 0, 1, -1] and arrays.labels.dtype == np.int64
    assert arrays.domains.tolist() == ["target", "source"] * 2
    assert arrays.splits.tolist() == ["", "train"] * 2
    assert arrays.paths == ["row/0", "row/1", "row/2", "row/3"]
    assert arrays.class_names == ["a", "b"]
    assert arrays.fingerprint == Colours([5, 6, 7, 8]).fingerprint()
    assert arrays.skipped == [] and not arrays.from_cache


def test_the_second_call_neither_reads_nor_decodes(monkeypatch):
    reader = Colours(list(range(20)))
    first = load_arrays(reader, SMALL)

    def refuse(*args):
        raise AssertionError("was called")

    monkeypatch.setattr(reader, "read", refuse)
    monkeypatch.setattr(decoded, "decode_image", refuse)
    second = load_arrays(reader, SMALL)
    assert second.from_cache
    assert isinstance(second.stored, np.memmap)
    assert_same(first, second)


def test_writing_into_the_arrays_does_not_reach_the_cache():
    reader = Colours([1, 2])
    load_arrays(reader, SMALL).stored[:] = 9
    assert load_arrays(reader, SMALL).stored[:, 0, 0, 0].tolist() == [1, 2]


def test_images_beyond_all_memory_are_mapped(tmp_path):
    size = 4 * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    path = tmp_path / "images.npy"
    with path.open("wb") as file:  # sparse: takes no room
        write_header(file, np.uint8, (size, 1, 1, 1))
        file.truncate(file.tell() + size)
    images = map_array(path)
    assert images.shape == (size, 1, 1, 1)
    assert images[-1, 0, 0, 0] == 0


def test_a_hit_imports_neither_datasets_nor_pillow(tmp_path):
    for name in ("a/1.png", "b/1.png"):
        (tmp_path / name).parent.mkdir()
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    load_arrays(ImageFolder(str(tmp_path)), SMALL)
    code = (
        "import sys\n"
        "from tltool.data.cache import load_arrays\n"
        "from tltool.data.preprocessing import Preprocessing\n"
        "from tltool.data.readers.image_folder import ImageFolder\n"
        f"arrays = load_arrays(ImageFolder({str(tmp_path)!r}), Preprocessing(size=8))\n"
        "heavy = {'torch', 'datasets', 'PIL', 'sklearn'} & set(sys.modules)\n"
        "print(arrays.from_cache, heavy)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True set()"


@pytest.mark.parametrize(
    ("change", "again"),
    [
        ({"size": 9}, True),
        ({"channels": 1, "mean": (0.5,), "std": (0.5,)}, True),
        ({"interpolation": "bicubic"}, True),
        ({"crop_pct": 0.8}, True),
        ({"mean": (0.1, 0.2, 0.3), "std": (1.0, 1.0, 1.0)}, False),
    ],
)
def test_what_changes_pixels_decodes_anew(change, again):
    reader = Colours([1, 2])
    load_arrays(reader, SMALL)
    load_arrays(reader, Preprocessing(**{"size": 8, **change}))
    assert reader.reads == 1 + again


def test_other_data_decode_anew():
    load_arrays(Colours([1, 2]), SMALL)
    assert load_arrays(Colours([1, 3]), SMALL).stored[1, 0, 0, 0] == 3


def test_without_a_cache_nothing_is_written():
    reader = Colours([1, -1, 3])
    memory = load_arrays(reader, SMALL, on_error="skip", cache=False)
    assert folders() == []
    assert_same(memory, load_arrays(reader, SMALL, on_error="skip"))
    load_arrays(reader, SMALL, on_error="skip", cache=False)
    assert reader.reads == 3


@pytest.mark.parametrize("cached", [True, False])
def test_corrupt_images_are_named_a_line_each(cached):
    values = [-1] * 12 + [4]
    with pytest.raises(UserError) as caught:
        load_arrays(Colours(values), SMALL, cache=cached)
    lines = caught.value.problems
    assert len(lines) == 11
    assert lines[0].startswith("corrupt image row/0: not an image that Pillow knows;")
    assert all("dataset.on_error=skip" in line for line in lines[:10])
    assert lines[10] == "and 2 more: 12 of 13 examples"
    assert folders() == []


def test_a_corrupt_file_is_named_by_its_full_path(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        Image.effect_noise((32, 32), 50).save(tmp_path / name / "1.jpg")
    broken = tmp_path / "b/2.jpg"
    broken.write_bytes((tmp_path / "b/1.jpg").read_bytes()[:500])
    with pytest.raises(UserError) as caught:
        load_arrays(ImageFolder(str(tmp_path)), SMALL)
    (line,) = caught.value.problems
    assert line.startswith(f"corrupt image {broken}: image file is truncated")


def test_skipped_images_leave_their_rows_out_now_and_from_the_cache():
    values = list(range(10))  # 10 rows, then 9: another length of the number in the file's header
    values[3] = -1
    reader = Colours(values)
    for from_cache in (False, True):
        arrays = load_arrays(reader, SMALL, on_error="skip")
        assert arrays.from_cache == from_cache
        assert arrays.stored[:, 0, 0, 0].tolist() == [0, 1, 2, 4, 5, 6, 7, 8, 9]
        assert arrays.skipped == ["row/3"]
        assert "row/3" not in arrays.paths and len(arrays.paths) == 9
        assert arrays.labels.tolist() == [-1, 0, 1, 0, 1, -1, 0, 1, -1]
    with pytest.raises(UserError, match="row/3"):
        load_arrays(reader, SMALL)


def test_images_that_are_all_corrupt_cannot_be_skipped():
    with pytest.raises(UserError, match="no example can be used"):
        load_arrays(Colours([-1, -1]), SMALL, on_error="skip")


@pytest.mark.parametrize("name", ["images.npy", "labels.npy", "rows.json", "sizes.json"])
@pytest.mark.parametrize("damage", ["missing", "shortened"])
def test_a_damaged_folder_is_built_again(name, damage):
    reader = Colours([1, 2, 3])
    first = load_arrays(reader, SMALL)
    (folder,) = folders()
    if damage == "missing":
        (folder / name).unlink()
    else:
        os.truncate(folder / name, (folder / name).stat().st_size - 5)
    again = load_arrays(reader, SMALL)
    assert not again.from_cache
    assert_same(again, load_arrays(Colours([1, 2, 3]), SMALL, cache=False))
    assert first.stored[2, 0, 0, 0] == 3  # a run that has the old files open goes on
    assert load_arrays(reader, SMALL).from_cache
    assert folders() == [folder]


def test_of_two_processes_one_folder_remains(monkeypatch):
    reader, other = Colours([1, 2, 3]), Colours([1, 2, 3])
    publish = cache._publish

    def lose(built, folder, store):
        monkeypatch.setattr(cache, "_publish", publish)
        load_arrays(other, SMALL)  # the other process is done while this one was decoding
        publish(built, folder, store)

    monkeypatch.setattr(cache, "_publish", lose)
    arrays = load_arrays(reader, SMALL)
    assert other.reads == 1
    assert len(folders()) == 1
    assert_same(arrays, load_arrays(reader, SMALL))


def test_decoding_twice_at_once_ends_with_one_folder():
    values = list(range(200))
    together = Barrier(2)

    def load(_):
        reader = Colours(values)
        together.wait()
        return load_arrays(reader, SMALL)

    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(load, range(2))
    assert_same(one, other)
    assert len(folders()) == 1
    assert_same(one, load_arrays(Colours(values), SMALL))


@contextmanager
def files_no_larger_than(size: int):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_failing_write_leaves_nothing_behind():
    reader = Colours(list(range(200)))
    with files_no_larger_than(20_000), pytest.raises(RunError, match="TLTOOL_CACHE=FOLDER"):
        load_arrays(reader, Preprocessing(size=16))
    assert folders() == []
    assert not load_arrays(reader, Preprocessing(size=16)).from_cache


def test_a_full_disk_says_which_folder_and_what_to_type(monkeypatch):
    def full(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(cache, "_write_rows", full)
    with pytest.raises(RunError) as caught:
        load_arrays(Colours([1, 2]), SMALL)
    assert str(cache_root()) in str(caught.value)
    assert "No space left on device" in str(caught.value)
    assert folders() == []


def test_an_interrupted_build_leaves_nothing_behind():
    def interrupt(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load_arrays(Colours([1, 2]), SMALL, progress=interrupt)
    assert folders() == []


def test_progress_counts_up_to_all_images(monkeypatch):
    monkeypatch.setattr(cache, "CHUNK", 4)
    told = []
    load_arrays(Colours([1] * 10), SMALL, progress=lambda *now: told.append(now))
    assert told == [(4, 10), (8, 10), (10, 10)]


def test_the_cache_lies_where_the_environment_says(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    monkeypatch.setenv("TLTOOL_CACHE", "~/mine")
    assert cache_root() == Path("/home/me/mine")
    monkeypatch.delenv("TLTOOL_CACHE")
    assert cache_root() == Path("/xdg/tltool")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_root() == Path("/home/me/.cache/tltool")
