import pytest
import torch

from tltool.backbones.base import Backbone
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


class Preferring(Backbone):
    """A backbone that is faster in one of the layouts."""

    def __init__(self, channels_last: bool) -> None:
        super().__init__()
        self.layer = torch.nn.Conv2d(3, 4, 3)
        self.channels_last_on_cpu = channels_last


@pytest.mark.parametrize(
    ("asked", "prefers", "last"),
    [(None, False, False), (None, True, True), (True, False, True), (False, True, False)],
)
def test_the_layout_is_the_backbones_choice_unless_asked(no_gpu, asked, prefers, last):
    hardware = Hardware("cpu", channels_last=asked)
    backbone = Preferring(prefers)
    assert hardware.channels_last(backbone) is last
    hardware.arrange(backbone)
    weight = backbone.layer.weight
    assert weight.is_contiguous(memory_format=torch.channels_last) is last


def test_channels_last_on_a_gpu_is_for_every_backbone(two_gpus):
    assert Hardware().channels_last(Preferring(False))
