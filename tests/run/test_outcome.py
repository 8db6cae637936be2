import csv
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors import safe_open
from torch import nn

from tltool.errors import UserError
from tltool.evaluation.base import Predictions, Scores
from tltool.evaluation.domains import Domains
from tltool.run.folder import RunFolder
from tltool.run.outcome import (
    MODEL,
    PREDICTIONS,
    exported_spec,
    load_model,
    load_units,
    save_model,
    save_predictions,
    save_split,
)
from tltool.run.subject import subject_of
from tltool.strategies.base import Strategy


class Own(Strategy):
    """Has a parameter and a buffer of its own; predicts by the first input."""

    def build(self, net, spec):
        self.layer = nn.Linear(3, 2)
        self.register_buffer("seen", torch.zeros(2, dtype=torch.int64))

    def predict(self, net, x):
        return torch.stack([1.5 - x[:, 0], x[:, 0] - 1.5], dim=1)


@pytest.fixture
def folder(tmp_path):
    with RunFolder(tmp_path / "run").locked() as locked:
        yield locked


@pytest.fixture
def parts(toy_parts):
    return toy_parts(Own())


def test_predictions_and_units_read_back(parts, folder):
    scores = Domains(subject_of(parts)).final()
    save_predictions(folder, scores)
    with np.load(folder.path / PREDICTIONS, allow_pickle=False) as arrays:
        assert len(arrays.files) == 9 + 2
        for split, predicted in scores.predictions.items():
            for name in ("labels", "predicted", "scores"):
                stored, kept = arrays[f"{split}/{name}"], getattr(predicted, name)
                assert stored.dtype == kept.dtype and (stored == kept).all()
    for name, units in scores.units.items():
        assert (load_units(folder.path, name) == units).all()
    assert load_units(folder.path, "nothing/accuracy") is None


def test_a_split_of_any_name_can_be_stored(folder):
    one, confusion = np.array([1]), np.zeros((2, 2), np.int64)
    predicted = Predictions(one, one, np.ones(1, np.float32), confusion)
    save_predictions(folder, Scores({}, {"file": np.ones(1)}, {"file": predicted}))
    assert load_units(folder.path, "file").tolist() == [1.0]


def test_the_split_of_each_image_is_a_table(parts, folder):
    paths = list(parts.arrays.paths)
    paths[:4] = ["ä/1.png", "a,b.png", 'a"b.png', "a\nb.png"]
    save_split(folder, replace(parts, arrays=replace(parts.arrays, paths=paths)))
    with (folder.path / "splits.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["path"] for row in rows] == paths
    for (domain, split), numbers in parts.table.rows.items():
        assert {(rows[i]["domain"], rows[i]["split"]) for i in numbers} == {(domain, split)}


def test_the_exported_model_reads_back_into_another_learner(parts, folder, toy_parts):
    with torch.no_grad():
        for tensor in parts.model.learner.state_dict().values():
            tensor.add_(1)
    save_model(folder, parts)
    other = toy_parts(Own())
    load_model(folder.path, other.model.learner)
    expected, loaded = parts.model.learner.state_dict(), other.model.learner.state_dict()
    assert expected.keys() == loaded.keys()
    assert all(torch.equal(expected[name], loaded[name]) for name in expected)
    assert {"strategy.layer.weight", "strategy.seen", "net.head.bias"} <= loaded.keys()


def test_the_export_says_what_it_is_for(parts, folder):
    save_model(folder, parts)
    assert exported_spec(folder.path) == parts.spec
    with safe_open(folder.path / MODEL, framework="pt") as file:
        assert '"size": 28' in file.metadata()["preprocessing"]


def test_weights_laid_out_channels_last_are_exported(parts, folder):
    parts.model.strategy.convolution = nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
    save_model(folder, parts)
    with safe_open(folder.path / MODEL, framework="pt") as file:
        stored = file.get_tensor("strategy.convolution.weight")
    assert torch.equal(stored, parts.model.strategy.convolution.weight)


def test_a_run_without_an_export_is_refused(parts, tmp_path):
    with pytest.raises(UserError, match=f"tltool train --resume {tmp_path}"):
        load_model(tmp_path, parts.model.learner)
    with pytest.raises(UserError, match=f"tltool train --resume {tmp_path}"):
        exported_spec(tmp_path)


def test_weights_of_another_network_are_refused(parts, folder, toy_parts):
    save_model(folder, parts)
    with pytest.raises(UserError, match="does not fit this run") as error:
        load_model(folder.path, toy_parts(Strategy()).model.learner)
    assert len(str(error.value).splitlines()) == 1
