"""Parts that do not fit together are refused in one line."""

from pathlib import Path
from typing import Any

import pytest

from tltool.config.compose import resolve
from tltool.data.readers import checked_reader
from tltool.errors import UserError
from tltool.run.build import build

pytest.importorskip("transformers")


def refusal(given: list[str]) -> str:
    config = resolve([*given, "experiment=smoke", "hardware=cpu"]).config
    with pytest.raises(UserError) as caught:
        build(config, checked_reader(config["dataset"]))
    [line] = caught.value.problems
    return line


def test_texts_need_a_backbone_that_takes_them(reviews: list[str]) -> None:
    assert refusal([*reviews, "backbone=lenet"]) == (
        "the dataset holds text, the backbone takes image: type backbone=bert_tiny or "
        "backbone=minilm or backbone=transformer"
    )


def test_images_need_a_backbone_that_takes_them(domains: Any) -> None:
    line = refusal([*domains.overrides(), "backbone=bert_tiny"])
    assert line.startswith("the dataset holds image, the backbone takes text: type backbone=")
    assert "backbone=lenet" in line and "bert_tiny" not in line


def test_texts_are_not_augmented(reviews: list[str]) -> None:
    line = refusal([*reviews, "dataset.augment=flip"])
    assert line.startswith("dataset.augment=flip: changes images, and the backbone takes text")


def test_a_length_that_cannot_be_is_refused(reviews: list[str]) -> None:
    assert refusal([*reviews, "backbone.max_length=1000"]) == (
        "BertTiny: max_length must be 3 to 512 for bert_tiny, got 1000"
    )


def test_skipped_rows_are_counted(reviews: list[str], tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("text,label\na,x\nb,y\n,x\nc,x\nd,y\n")
    given = [*reviews, f"dataset.source={tmp_path / 's.csv'}", "dataset.target=null"]
    given += ["dataset.split=null", "experiment=smoke", "hardware=cpu"]
    config = resolve([*given, "dataset.on_error=skip"]).config
    arrays = build(config, checked_reader(config["dataset"])).arrays
    assert arrays.skipped == ["s.csv:4"] and len(arrays.paths) == 4
