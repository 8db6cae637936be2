"""`tltool recommend`, on photographs of three kinds of bars."""

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file

from tltool.config.candidates import candidates

SCORES = {"knn", "log_me", "h_score", "leep", "nce"}
CPU = "hardware=cpu"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a tiny network, with a classifier of 7 old classes."""
    torch.manual_seed(1)
    file = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_file(timm.create_model("test_resnet", num_classes=7).state_dict(), str(file))
    return file


@pytest.fixture
def pretrained(weights: Path) -> list[str]:
    return ["backbone=timm", "backbone.name=test_resnet", f"backbone.weights={weights}"]


def source(domains: Any) -> list[str]:
    return ["dataset=image_folder", f"dataset.source={domains.source}", CPU]


def test_a_pretrained_backbone_is_compared_with_its_random_weights(
    cli: Any, domains: Any, pretrained: list[str]
) -> None:
    done = cli("recommend", *pretrained, "backbone.size=32", *source(domains), "--json")
    assert done.code == 0, done.err
    report = json.loads(done.out)
    data = report["dataset"]
    assert (data["train"], data["scored"], data["classes"], data["target_train"]) == (45, 45, 3, 0)
    assert data["per_class"] == {"min": 15, "median": 15.0, "max": 15}
    [row] = report["backbones"]
    assert set(row["pretrained"]) == set(row["from_scratch"]) == SCORES
    assert None not in row["pretrained"].values()
    assert row["pretrained"]["leep"] <= 0 and row["pretrained"]["nce"] <= 0
    assert row["from_scratch"]["leep"] is None, "random weights have no old classifier"
    assert row["pretrained"]["log_me"] != row["from_scratch"]["log_me"]

    advice = report["recommendation"]
    similarity = advice["similarity"]
    assert similarity["knn"] == row["pretrained"]["knn"]
    assert similarity["scratch"] == row["from_scratch"]["knn"]
    assert not advice["large"]
    expected = "linear_probe" if similarity["similar"] else "discriminative"
    assert advice["strategy"] == expected
    assert advice["command"][:3] == ["tltool", "train", f"strategy={expected}"]


def test_the_command_to_type_next_works(cli: Any, domains: Any, pretrained: list[str]) -> None:
    done = cli("recommend", *pretrained, "backbone.size=32", *source(domains), "seed=3")
    line = next(line for line in done.out.splitlines() if line.startswith("next "))
    tool, verb, *args = shlex.split(line.removeprefix("next"))
    assert (tool, verb) == ("tltool", "train")
    shown = cli("show", *args)
    assert shown.code == 0, shown.err
    assert "seed: 3" in shown.out and "name: test_resnet" in shown.out
    heading, named, scratch = (line.split() for line in done.out.splitlines()[2:5])
    assert heading[-6:] == ["features", "kNN", "LogME", "H-score", "LEEP", "NCE"]
    assert named[-1] != "-" and scratch[-2:] == ["-", "-"]


def test_the_second_time_features_are_read_and_the_figures_are_the_same(
    cli: Any, domains: Any, pretrained: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    args = ("recommend", *pretrained, "backbone.size=32", *source(domains), "--json")
    first = json.loads(cli(*args).out)

    def refuse(*_: Any) -> None:
        raise AssertionError("features were computed again")

    monkeypatch.setattr("tltool.backbones.timm.TimmBackbone.forward", refuse)
    second = json.loads(cli(*args).out)
    assert {**second, "seconds": 0} == {**first, "seconds": 0}


def test_a_target_without_labels_is_adapted_to(cli: Any, domains: Any) -> None:
    done = cli("recommend", *domains.overrides(), CPU, "backbone=lenet", "--json")
    report = json.loads(done.out)
    advice = report["recommendation"]
    assert (advice["rule"], advice["strategy"]) == ("unlabelled target", "dann")
    assert advice["alternatives"] == ["source_only"]
    assert advice["command"][-1] == "controls=true"
    assert report["backbones"][0]["pretrained"] is None


def test_without_a_backbone_those_at_hand_are_scored(
    cli: Any, domains: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "tltool.config.candidates.every_candidate",
        lambda args, folders: (candidates(["backbone=lenet,resnet18", *args], folders), {}),
    )
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_: None)
    done = cli("recommend", *source(domains))
    assert done.code == 0, done.err
    assert "lenet from scratch" in done.out
    assert "left out     resnet18: backbone.weights=hub" in done.out
    assert "recommended  from_scratch on lenet" in done.out


def test_labels_of_the_test_split_are_not_looked_at(cli: Any, domains: Any, tmp_path: Path) -> None:
    """The same pictures with their test labels exchanged give the same figures."""
    swapped = tmp_path / "source"
    names = {"high": "low", "low": "high", "middle": "middle"}
    for split in ("train", "test"):
        for name, other in names.items():
            folder = swapped / split / (name if split == "train" else other)
            folder.parent.mkdir(parents=True, exist_ok=True)
            folder.symlink_to(domains.source / split / name)
    figures = [
        json.loads(
            cli("recommend", "dataset=image_folder", f"dataset.source={folder}", CPU,
                "backbone=lenet", "--json").out
        )["backbones"]
        for folder in (domains.source, swapped)
    ]  # fmt: skip
    assert figures[0] == figures[1]


def test_mistakes_are_said_in_one_line(cli: Any, domains: Any) -> None:
    assert cli("recommend", "backbone=lenet", *source(domains), "strategy=dann").problems == [
        "strategy=dann: recommend names the strategy; leave it out"
    ]
    done = cli("recommend", "backbone=lenet", "dataset=image_folder", "dataset.source=/nowhere")
    assert done.code == 2 and "/nowhere" in done.problems[0]
