"""A run that starts from another one, and what it forgets of it."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm.data
import torch
import torch.nn.functional as F
from PIL import Image
from rich.console import Console
from safetensors.torch import load_file

from tltool.backbones.lenet import LeNet
from tltool.backbones.timm import TimmBackbone
from tltool.config.compose import resolve
from tltool.errors import UserError
from tltool.run.apply import evaluate_run, predict
from tltool.run.model import ModelBuilder
from tltool.run.start import check_start, start_from

Run = Callable[..., dict[str, Any]]


def test_the_backbone_is_exactly_that_of_the_run(trained: Path) -> None:
    config = resolve([f"backbone.init_from={trained}", "hardware=cpu"]).config
    check_start(config)
    backbone = ModelBuilder(config).backbone
    exported = load_file(trained / "model.safetensors")
    for name, tensor in backbone.state_dict().items():
        assert torch.equal(tensor, exported[f"net.backbone.{name}"])
    sha256 = hashlib.sha256((trained / "model.safetensors").read_bytes()).hexdigest()
    found = backbone.provenance
    assert (found["weights"], found["strategy"], found["sha256"]) == ("run", "dann", sha256)
    assert found["run"] == str(trained.resolve())
    assert found["before"]["weights"] == "random"
    backbone.reset()
    assert backbone.provenance["weights"] == "random" and "run" not in backbone.provenance


def test_three_commands_in_a_row_and_the_first_run_is_needed_no_more(
    run: Run, trained: Path, tmp_path: Path
) -> None:
    first = tmp_path / "first"
    shutil.copytree(trained, first)
    probe = ("strategy=linear_probe", "steps=2", f"backbone.init_from={first}")
    results = run(tmp_path / "second", *probe, "forgetting=run")
    of_first = json.loads((first / "results.json").read_text())["metrics"]
    metrics = results["metrics"]
    assert metrics["forgetting/before_accuracy"] == of_first["target_test/accuracy"]
    assert metrics["forgetting/drop"] == 0.0  # a probe moves nothing of the backbone
    record = json.loads((tmp_path / "second" / "record.json").read_text())
    assert record["weights"]["run"] == str(first.resolve())
    shutil.rmtree(first)
    assert evaluate_run(tmp_path / "second", Console(quiet=True))["metrics"] == metrics
    third = run(
        tmp_path / "third", "strategy=finetune", f"backbone.init_from={tmp_path / 'second'}"
    )
    assert third["status"] == "done"
    image = tmp_path / "image.png"
    Image.new("RGB", (28, 28)).save(image)
    assert predict(tmp_path / "third", image, Console(quiet=True))[1] == 1


def test_training_on_forgets_and_weights_thrown_away_have_nothing_to_forget(
    run: Run, trained: Path, tmp_path: Path
) -> None:
    given = (f"backbone.init_from={trained}", "forgetting=run", "optimizer.lr=0.5")
    metrics = run(tmp_path / "on", "strategy=finetune", *given)["metrics"]
    lost = metrics["forgetting/before_accuracy"] - metrics["forgetting/after_accuracy"]
    assert metrics["forgetting/drop"] == lost != 0
    metrics = run(tmp_path / "anew", "strategy=from_scratch", *given)["metrics"]
    assert not any(name.startswith("forgetting") for name in metrics)


def test_forgetting_of_pretrained_weights_on_a_folder_named_by_their_classes(
    run: Run, tmp_path: Path
) -> None:
    """One image lies in the folder that the classifier says, one in another: half are right."""
    backbone = TimmBackbone("tf_efficientnet_lite0", weights="package", size=32).eval()
    assert backbone.classifier is not None
    x = torch.tensor([1.0, -1.0, -1.0]).view(1, 3, 1, 1).expand(1, 3, 32, 32)  # red, prepared
    with torch.no_grad():
        said = int(F.linear(backbone(x), *backbone.classifier).argmax())
    old = tmp_path / "old"
    synsets = timm.data.ImageNetInfo().label_names()
    for name in (str(said), synsets[said - 1]):
        (old / name).mkdir(parents=True)
        Image.new("RGB", (32, 32), (255, 0, 0)).save(old / name / "red.png")
    given = ("backbone=efficientnet_lite0", "backbone.size=32", f"forgetting={old}", "steps=1")
    metrics = run(tmp_path / "probe", "strategy=linear_probe", *given)["metrics"]
    assert metrics["forgetting/before_accuracy"] == metrics["forgetting/after_accuracy"] == 0.5
    metrics = run(tmp_path / "anew", "strategy=from_scratch", *given)["metrics"]
    assert "forgetting/drop" not in metrics
    (old / str(said)).rename(old / "bee")
    with pytest.raises(UserError, match="know no class bee: name the class folders 0 to 999"):
        run(tmp_path / "names", "strategy=linear_probe", *given)
    with pytest.raises(UserError, match="these weights came without a classifier"):
        run(tmp_path / "lenet", "strategy=linear_probe", f"forgetting={old}")


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["backbone.init_from=nowhere"], "backbone.init_from=nowhere is no run folder"),
        (["forgetting=run"], "forgetting=run measures on the test data of the run that"),
        (["forgetting=nowhere"], "forgetting=nowhere: "),
    ],
)
def test_what_cannot_be_started_from_is_said_before_anything_is_loaded(
    overrides: list[str], said: str
) -> None:
    with pytest.raises(UserError, match=f"^{said}"):
        check_start(resolve(overrides).config)


def test_an_unfinished_run_is_refused(trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained, tmp_path / "run")
    (tmp_path / "run" / "results.json").write_text('{"status": "interrupted"}')
    with pytest.raises(UserError, match="not finished; type `tltool train --resume"):
        check_start(resolve([f"backbone.init_from={tmp_path / 'run'}"]).config)


def test_another_backbone_is_refused_with_what_differs(trained: Path) -> None:
    with pytest.raises(UserError) as error:
        start_from(LeNet(channels=1), trained)
    [line] = error.value.problems
    assert "layers.0.weight is (20, 3, 5, 5) there and (20, 1, 5, 5) here" in line
    assert "mean is [0.5, 0.5, 0.5] there and (0.5,) here" in line
    with pytest.raises(UserError, match=r"there and missing here; .*, and \d+ more; type"):
        start_from(TimmBackbone("test_vit", weights="random", size=32), trained)
