"""Bad input: one line a problem, exit code 2, no traceback."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image


def test_all_problems_at_once_with_what_to_type(cli: Any) -> None:
    done = cli("train", "strategy=dannn", "optimzer.lr=1", "dataset.batchsize=3", "seed=x")
    assert done.code == 2
    wanted = ("did you mean 'dann'", "did you mean 'optimizer", "'batch_size'", "int wanted")
    assert len(done.problems) == len(wanted)
    for problem, words in zip(done.problems, wanted, strict=True):
        assert words in problem


@pytest.mark.parametrize("prefix", ["", "+", "++"])
def test_an_unknown_option_is_refused_behind_every_prefix(cli: Any, prefix: str) -> None:
    done = cli("train", "strategy=dann", f"{prefix}strategy.hiden=3")
    assert done.code == 2
    assert "did you mean 'hidden'" in done.problems[0]


def test_missing_folder_and_missing_source(cli: Any) -> None:
    gone = cli("train", "dataset=image_folder", "dataset.source=/nowhere")
    assert (gone.code, gone.problems) == (2, ["dataset.source=/nowhere: no such folder"])
    none = cli("train", "dataset=image_folder")
    assert none.code == 2
    assert "dataset.source" in none.problems[0]


def _folder(root: Path, *classes: str, count: int = 4) -> Path:
    rng = np.random.default_rng(0)
    for name in classes:
        (root / name).mkdir(parents=True)
        for i in range(count):
            pixels = rng.integers(0, 255, (28, 28, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(root / name / f"{i}.png")
    return root


def test_empty_class_and_a_target_of_other_classes(cli: Any, tmp_path: Path) -> None:
    source = _folder(tmp_path / "source", "cat", "dog")
    target = _folder(tmp_path / "target", "Cat", "horse")
    (source / "empty").mkdir()
    done = cli(
        "train", "dataset=image_folder", f"dataset.source={source}", f"dataset.target={target}"
    )
    assert done.code == 2
    assert any("empty" in problem for problem in done.problems)
    assert any("horse" in problem for problem in done.problems)


def test_corrupt_image_is_named_or_skipped_and_counted(cli: Any, tmp_path: Path) -> None:
    source = _folder(tmp_path / "source", "cat", "dog", count=8)
    (source / "cat" / "broken.png").write_bytes(b"no image")
    given = ("train", "dataset=image_folder", f"dataset.source={source}", "experiment=smoke")
    done = cli(*given, "dataset.batch_size=4", f"run_dir={tmp_path / 'a'}")
    assert done.code == 2
    assert "broken.png" in done.problems[0]
    assert "dataset.on_error=skip" in done.problems[0]
    skipped = cli(
        *given, "dataset.batch_size=4", "dataset.on_error=skip", f"run_dir={tmp_path / 'b'}"
    )
    assert skipped.code == 0
    record = (tmp_path / "b" / "record.json").read_text()
    assert "broken.png" in record
    assert '"skipped_examples": 1' in (tmp_path / "b" / "results.json").read_text()


def test_adaptation_without_a_target_and_backbone_without_a_hub(cli: Any, tmp_path: Path) -> None:
    source = _folder(tmp_path / "source", "cat", "dog")
    given = ("train", "dataset=image_folder", f"dataset.source={source}", "experiment=smoke")
    no_target = cli(*given, "strategy=dann", f"run_dir={tmp_path / 'a'}")
    assert no_target.code == 2
    assert "dataset.target=" in no_target.problems[-1]
    nothing = cli(*given, "backbone=timm", "backbone.name=resnet_18", f"run_dir={tmp_path / 'b'}")
    assert nothing.code == 2
    assert "resnet_18" in nothing.problems[-1]


def test_no_run_folder(cli: Any, tmp_path: Path) -> None:
    for command in (["eval"], ["predict"], ["train", "--resume"], ["train", "--config-from"]):
        rest = [str(tmp_path)] if command == ["predict"] else []
        done = cli(*command, str(tmp_path), *rest)
        assert done.code == 2
        assert str(tmp_path) in done.problems[0]


def test_a_sweep_needs_its_flag(cli: Any) -> None:
    done = cli("train", "seed=0,1")
    assert done.code == 2
    assert "add -m" in done.problems[0]
