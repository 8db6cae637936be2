"""Weights reach the model whole, or the run stops with one line that says why."""

import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from tltool.backbones.base import Backbone
from tltool.backbones.timm import TimmBackbone
from tltool.backbones.weights import sha256_of
from tltool.config.compose import load_option, resolve
from tltool.config.instantiate import instantiate
from tltool.config.options import options
from tltool.config.validate import group_options
from tltool.errors import UserError

TARGET = "tltool.backbones.timm.TimmBackbone"


def source_model(name: str, classes: int = 7) -> Any:
    """A model with statistics and classifier unlike those of any other start."""
    torch.manual_seed(1)
    model = timm.create_model(name, num_classes=classes)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_()
                module.running_var.uniform_(0.5, 2)
    return model.eval()


def refused(**given: Any) -> str:
    with pytest.raises(UserError) as caught:
        instantiate({"_target_": TARGET, **given})
    [line] = caught.value.problems
    assert "\n" not in line
    assert len(line) < 500
    return line


@pytest.mark.parametrize(
    ("name", "classes", "suffix"),
    [
        ("resnet18", 1000, "safetensors"),
        ("resnet18", 7, "pth"),
        ("test_resnet", 1000, "pth"),
        ("test_resnet", 7, "safetensors"),
        ("test_resnet", 0, "pth"),
        ("test_resnet", 0, "safetensors"),
        ("deit_tiny_distilled_patch16_224", 3, "pth"),  # has two classifiers
    ],
)
def test_a_weight_file_gives_the_features_of_its_model(
    name: str, classes: int, suffix: str, tmp_path: Path
) -> None:
    source = source_model(name, classes)
    path = tmp_path / f"weights.{suffix}"
    save = save_file if suffix == "safetensors" else torch.save
    save(source.state_dict(), path)
    with torch.inference_mode():
        backbone = TimmBackbone(name, weights=str(path)).eval()
        x = torch.randn(2, 3, backbone.preprocessing.size, backbone.preprocessing.size)
        source.reset_classifier(0)
        torch.testing.assert_close(backbone(x), source(x))
        assert backbone(x).shape == (2, backbone.num_features)
    assert backbone.provenance["file"] == str(path)
    assert backbone.provenance["sha256"] == sha256_of(path)
    assert "licence" not in backbone.provenance  # of a file nobody knows it


def test_a_checkpoint_of_a_training_script_is_read_too(tmp_path: Path) -> None:
    source = source_model("test_resnet")
    wrapped = {f"module.{name}": tensor for name, tensor in source.state_dict().items()}
    torch.save({"epoch": 3, "state_dict": wrapped}, tmp_path / "last.pth.tar")
    x = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        backbone = TimmBackbone("test_resnet", weights=str(tmp_path / "last.pth.tar")).eval()
        source.reset_classifier(0)
        torch.testing.assert_close(backbone(x), source(x))


@pytest.mark.parametrize("other", ["test_vit", "resnet34"])
def test_weights_of_another_architecture_are_refused(other: str, tmp_path: Path) -> None:
    path = tmp_path / "resnet18.pth"
    torch.save(source_model("resnet18").state_dict(), path)
    line = refused(name=other, weights=str(path))
    assert line.startswith(f"backbone.weights={path} does not fit backbone.name={other}: ")
    assert "Missing key" in line


def test_a_missing_tensor_is_refused(tmp_path: Path) -> None:
    state = source_model("test_resnet").state_dict()
    del state["bn1.running_mean"]
    torch.save(state, tmp_path / "w.pth")
    assert "bn1.running_mean" in refused(name="test_resnet", weights=str(tmp_path / "w.pth"))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("text.pth", b"hello"),
        ("empty.pth", b""),
        ("text.safetensors", b"hello, not a header"),
        ("picture.png", b"\x89PNG\r\n\x1a\n"),
    ],
)
def test_a_file_that_is_no_checkpoint_is_refused(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    line = refused(name="test_resnet", weights=str(tmp_path / name))
    assert f"{name}: not a weight file that loads safely (" in line


@pytest.mark.parametrize("content", [[1, 2], {"epoch": 3}, {"fc.weight": 3}])
def test_a_checkpoint_without_tensors_is_refused(content: Any, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "w.pth")
    assert "not a weight file" in refused(name="test_resnet", weights=str(tmp_path / "w.pth"))


class Touch:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("kind", ["torch", "pickle"])
def test_a_file_that_would_run_code_is_refused(kind: str, tmp_path: Path) -> None:
    path, proof = tmp_path / "w.pth", tmp_path / "proof"
    content = {"conv1.weight": Touch(proof)}
    if kind == "torch":
        torch.save(content, path)
    else:
        path.write_bytes(pickle.dumps(content, protocol=2))
    line = refused(name="test_resnet", weights=str(path))
    assert "not a weight file that loads safely" in line
    assert not proof.exists()
    pickle.loads(pickle.dumps(content))
    assert proof.exists()  # so the file was dangerous


def test_a_path_without_a_file_is_refused(tmp_path: Path) -> None:
    line = refused(name="test_resnet", weights=str(tmp_path / "none.pth"))
    assert "no such file (allowed: hub, package, random, or the path" in line
    assert "no such file" in refused(name="test_resnet", weights=str(tmp_path))


def test_unknown_models_and_tags_are_refused() -> None:
    line = refused(name="resnet81", weights="random")
    assert line.startswith("backbone.name=resnet81: timm has no such model; did you mean 'resnet")
    line = refused(name="resnet18.a1_in2k", weights="random")
    assert line.startswith("backbone.name=resnet18.a1_in2k: resnet18 has no weights 'a1_in2k'")
    assert "did you mean 'a1_in1k'?" in line
    assert "tv_in1k" in line
    assert "(it has none)" in refused(name="resnet50t.x", weights="random")
    assert "timm has no such model" in refused(name="hf-hub:timm/resnet18", weights="random")


def test_a_tag_decides_the_preprocessing() -> None:
    plain = TimmBackbone("test_resnet", weights="random").preprocessing
    assert (plain.size, plain.interpolation, plain.crop_pct) == (160, "bilinear", 0.95)
    first, second = (
        TimmBackbone(f"resnet18.{tag}", weights="random").preprocessing
        for tag in ("a1_in1k", "tv_in1k")
    )
    assert (first.interpolation, second.interpolation) == ("bicubic", "bilinear")


@pytest.mark.parametrize("name", ["test_vit", "test_resnet"])
def test_size_changes_what_the_model_takes(name: str) -> None:
    backbone = TimmBackbone(name, weights="random", size=64)
    assert backbone.preprocessing.size == 64
    assert backbone.training
    x = torch.randn(2, 3, 64, 64)
    assert backbone(x).shape == (2, backbone.num_features)


def test_positions_of_pretrained_weights_are_resized(tmp_path: Path) -> None:
    source = source_model("test_vit")
    torch.save(source.state_dict(), tmp_path / "w.pth")
    backbone = TimmBackbone("test_vit", weights=str(tmp_path / "w.pth"), size=64).eval()
    x = torch.randn(2, 3, 64, 64)
    source.set_input_size(img_size=64)  # timm's own way to resize the positions
    with torch.inference_mode():
        source.reset_classifier(0)
        torch.testing.assert_close(backbone(x), source(x))


def test_sizes_that_do_not_fit_are_refused() -> None:
    assert refused(name="resnet18", weights="random", size=0).endswith(
        "size must be at least 1, got 0"
    )
    assert "size=100 does not fit the model" in refused(
        name="test_maxvit", weights="random", size=100
    )


def takes(option: str) -> set[str]:
    return set(group_options("backbone", load_option("backbone", option)["_target_"]))


IMAGES = [one.name for one in options("backbone") if "image" in one.modalities]


@pytest.mark.parametrize("option", IMAGES)
def test_every_option_for_images_builds_from_random(option: str) -> None:
    given = [f"backbone={option}"]
    if "weights" in takes(option):
        given += ["backbone.weights=random"]
    if option == "timm":
        given += ["backbone.name=test_resnet"]
    backbone: Backbone = instantiate(resolve(given).config["backbone"])
    to = backbone.preprocessing
    features = backbone(torch.zeros(2, to.channels, to.size, to.size))
    assert features.shape == (2, backbone.num_features)
    assert backbone.provenance["weights"] == "random"


@pytest.mark.parametrize("name", ["test_resnet", "test_vit"])
def test_reset_gives_the_model_of_random_weights_at_the_same_size(
    name: str, tmp_path: Path
) -> None:
    torch.save(source_model(name).state_dict(), tmp_path / "w.pth")
    backbone = TimmBackbone(name, weights=str(tmp_path / "w.pth"), size=64)
    torch.manual_seed(5)
    backbone.reset()
    torch.manual_seed(5)
    fresh = TimmBackbone(name, weights="random", size=64).state_dict()
    assert backbone.state_dict().keys() == fresh.keys()
    assert all(torch.equal(tensor, fresh[key]) for key, tensor in backbone.state_dict().items())


@pytest.mark.parametrize(
    ("name", "count", "first", "last"),
    [
        ("test_resnet", 5, "conv1.0.weight", "layer4.0.conv1.weight"),  # stem, 4 stages
        ("test_vit", 7, "pos_embed", "norm.weight"),  # stem, 6 blocks, the last with the norm
        ("test_convnext", 6, "stem.0.weight", "head.norm.weight"),
        ("test_efficientnet", 6, "conv_stem.weight", "conv_head.weight"),
    ],
)
def test_layer_groups_hold_every_parameter_once_from_input_to_output(
    name: str, count: int, first: str, last: str
) -> None:
    backbone = TimmBackbone(name, weights="random")
    groups = [{id(p) for p in group} for group in backbone.layer_groups()]
    assert len(groups) == count
    parameters = {name: id(p) for name, p in backbone.model.named_parameters()}
    assert sorted(i for group in groups for i in group) == sorted(parameters.values())
    assert parameters[first] in groups[0] and parameters[last] in groups[-1]


@pytest.mark.parametrize(
    "name", ["test_resnet", "test_vit", "test_convnext", "mobilenetv3_small_100"]
)
def test_the_classifier_of_the_weights_is_kept_beside_the_model(name: str, tmp_path: Path) -> None:
    source = source_model(name)
    torch.save(source.state_dict(), tmp_path / "w.pth")
    backbone = TimmBackbone(name, weights=str(tmp_path / "w.pth")).eval()
    assert backbone.classifier is not None
    weight, bias = backbone.classifier
    size = backbone.preprocessing.size
    x = torch.randn(2, 3, size, size)
    with torch.inference_mode():
        torch.testing.assert_close(backbone(x) @ weight.T + bias, source(x))
    random = TimmBackbone(name, weights="random")
    assert random.classifier is None
    assert backbone.state_dict().keys() == random.state_dict().keys()
    backbone.reset()
    assert backbone.classifier is None


def test_weights_without_one_linear_classifier_leave_none(tmp_path: Path) -> None:
    for name, classes in (("test_resnet", 0), ("deit_tiny_distilled_patch16_224", 3)):
        path = tmp_path / f"{name}.pth"
        torch.save(source_model(name, classes).state_dict(), path)
        assert TimmBackbone(name, weights=str(path)).classifier is None


@pytest.mark.parametrize(
    ("name", "count"), [("test_resnet", 5), ("test_vit", 6), ("test_efficientnet", 5)]
)
def test_maps_come_with_the_same_features(name: str, count: int) -> None:
    backbone = TimmBackbone(name, weights="random").eval()
    size = backbone.preprocessing.size
    x = torch.randn(2, 3, size, size)
    with torch.inference_mode():
        features, maps = backbone.forward_maps(x)
        torch.testing.assert_close(features, backbone(x))
    assert len(maps) == count
    assert all(one.ndim == 4 and len(one) == 2 for one in maps)
