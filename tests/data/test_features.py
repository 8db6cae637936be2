import numpy as np
import pytest
import torch

from tltool.data.cache import cache_root
from tltool.data.datamodule import DataModule
from tltool.data.features import cached_features, features_path
from tltool.data.preprocessing import Preprocessing
from tltool.data.table import Table
from tltool.data.transforms import Prepare

CPU = torch.device("cpu")
N = 10


@pytest.fixture
def datamodule() -> DataModule:
    """10 images of 4 x 4 pixels, evaluated in batches of 4."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(0, 256, (N, 1, 4, 4), dtype=torch.uint8, generator=generator)
    table = Table(x, torch.zeros(N, dtype=torch.int64), {}, ("only",))
    prepare = Prepare(Preprocessing(size=4, channels=1, mean=(0.0,), std=(1.0,)), "flip_crop")
    return DataModule(table, prepare, batch_size=4, eval_batch_size=4, seed=0)


def rows(x: torch.Tensor) -> torch.Tensor:
    """Features that are the first row of pixels, doubled."""
    return 2 * x[:, 0, 0]


def refuse(x: torch.Tensor) -> torch.Tensor:
    raise AssertionError("features were computed again")


def expected(datamodule: DataModule) -> torch.Tensor:
    return 2 * (datamodule.table.x[:, 0, 0] / 255)


def test_features_of_all_examples_in_their_order_not_augmented(datamodule):
    told = []
    features = cached_features(rows, datamodule, CPU, None, lambda *done: told.append(done))
    torch.testing.assert_close(features, expected(datamodule))
    assert told == [(4, N), (8, N), (10, N)]
    assert not features.is_inference()  # a probe trains on them


def test_the_second_call_reads_the_file(datamodule, tmp_path):
    path = tmp_path / "new" / "features.npy"
    first = cached_features(rows, datamodule, CPU, path)
    second = cached_features(refuse, datamodule, CPU, path)
    assert torch.equal(first, second) and second.dtype == torch.float32
    assert [file.name for file in path.parent.iterdir()] == ["features.npy"]


def test_half_precision_is_kept_as_float32(datamodule, tmp_path):
    features = cached_features(
        lambda x: rows(x).to(torch.bfloat16), datamodule, CPU, tmp_path / "f.npy"
    )
    assert features.dtype == torch.float32


def damaged(good: bytes) -> dict[str, bytes]:
    return {"header cut": good[:40], "data cut": good[:-30], "empty": b"", "other": b"\x80nonsense"}


@pytest.mark.parametrize("how", ["header cut", "data cut", "empty", "other"])
def test_a_damaged_file_is_computed_again(datamodule, tmp_path, how):
    path = tmp_path / "features.npy"
    cached_features(rows, datamodule, CPU, path)
    path.write_bytes(damaged(path.read_bytes())[how])
    torch.testing.assert_close(cached_features(rows, datamodule, CPU, path), expected(datamodule))
    cached_features(refuse, datamodule, CPU, path)  # and is whole again


@pytest.mark.parametrize("content", [np.zeros((N - 1, 4), np.float32), np.float32(3)])
def test_a_file_of_other_data_is_computed_again(datamodule, tmp_path, content):
    path = tmp_path / "features.npy"
    np.save(path, content)
    torch.testing.assert_close(cached_features(rows, datamodule, CPU, path), expected(datamodule))


def test_without_a_path_nothing_is_written(datamodule, tmp_path, monkeypatch):
    monkeypatch.setenv("TLTOOL_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    cached_features(rows, datamodule, CPU, None)
    assert list(tmp_path.iterdir()) == []


def test_a_cache_that_cannot_be_written_is_no_error(datamodule, tmp_path):
    (tmp_path / "file").write_text("where a folder should be")
    features = cached_features(rows, datamodule, CPU, tmp_path / "file" / "features.npy")
    torch.testing.assert_close(features, expected(datamodule))
    assert (tmp_path / "file").read_text() == "where a folder should be"


def test_the_path_depends_on_everything_it_is_given():
    path = features_path(["weights", 28, (0.5,)])
    assert path.parent == cache_root() / "features" and path.suffix == ".npy"
    assert features_path(["weights", 28, (0.5,)]) == path
    others = [["weights", 28, (0.4,)], ["weights", 29, (0.5,)], ["weights2", 8, (0.5,)]]
    assert len({path, *map(features_path, others)}) == 4
