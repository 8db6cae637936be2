import pytest
import torch

from tltool.errors import UserError
from tltool.run.hardware import Hardware


@pytest.fixture(autouse=True)
def threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def no_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)


@pytest.fixture
def two_gpus(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)


def test_auto_without_a_gpu_is_the_cpu_in_full_precision(no_gpu):
    hardware = Hardware()
    assert hardware.device == torch.device("cpu") and hardware.precision == "32-true"
    assert hardware.trainer_options() == {
        "accelerator": "cpu",
        "devices": 1,
        "strategy": "auto",
        "precision": "32-true",
    }


def test_auto_with_a_gpu_is_bf16_where_the_gpu_has_it(two_gpus, monkeypatch):
    assert Hardware().trainer_options()["accelerator"] == "gpu"
    assert Hardware().precision == "bf16-mixed"
    assert Hardware(precision=32).precision == "32-true"
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: False)
    assert Hardware().precision == "32-true"


def test_the_cpu_can_be_asked_for_beside_a_gpu(two_gpus):
    hardware = Hardware("cpu", devices=3)
    assert hardware.device == torch.device("cpu") and hardware.precision == "32-true"


def test_more_devices_train_data_parallel(no_gpu):
    assert "ddp" in Hardware(devices=2).trainer_options()["strategy"]


def test_a_gpu_that_is_not_there_is_refused(no_gpu):
    with pytest.raises(UserError, match="type hardware=cpu or hardware=auto"):
        Hardware("gpu")


@pytest.mark.parametrize(("devices", "allowed"), [(0, "1 to 2"), (3, "1 to 2")])
def test_a_count_of_gpus_that_are_not_there_is_refused(two_gpus, devices, allowed):
    with pytest.raises(UserError, match=f"hardware.devices={devices}: {allowed} can be used here"):
        Hardware("gpu", devices=devices)


def test_no_device_at_all_is_refused(no_gpu):
    with pytest.raises(UserError, match="hardware.devices=0: 1 or more can be used here"):
        Hardware("cpu", devices=0)


@pytest.mark.parametrize(
    ("asked", "size", "last"),
    [(None, 63, False), (None, 64, True), (True, 28, True), (False, 224, False)],
)
def test_channels_last_is_for_larger_images_unless_asked(no_gpu, asked, size, last):
    hardware = Hardware("cpu", channels_last=asked)
    assert hardware.channels_last(size) is last
    layer = torch.nn.Conv2d(3, 4, 3)
    hardware.arrange(layer, size)
    assert layer.weight.is_contiguous(memory_format=torch.channels_last) is last


def test_channels_last_on_a_gpu_is_for_all_images(two_gpus):
    assert Hardware().channels_last(28)


def test_autocast_gives_bf16_only_where_asked(no_gpu):
    layer, x = torch.nn.Linear(2, 2), torch.ones(1, 2)
    with Hardware("cpu").autocast():
        assert layer(x).dtype == torch.float32
    with Hardware("cpu", precision="bf16").autocast():
        assert layer(x).dtype == torch.bfloat16


def test_threads_are_set_and_recorded(no_gpu):
    described = Hardware("cpu", threads=2).describe()
    assert torch.get_num_threads() == 2
    assert described == {"device": "cpu", "devices": 1, "precision": "32-true", "threads": 2}
