"""Steps in turn do what they do alone."""

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from tltool.backbones.base import Net
from tltool.strategies.adaptation.dann import DANN
from tltool.strategies.base import DataSpec
from tltool.strategies.finetuning.finetune import Finetune
from tltool.strategies.finetuning.linear_probe import LinearProbe
from tltool.strategies.finetuning.lp_ft import LPFT
from tltool.strategies.pipeline import Pipeline

SPEC = DataSpec(2, ("a", "b"), {"source": 4})


@pytest.fixture
def net():
    backbone = nn.Linear(3, 5)
    backbone.num_features = 5
    backbone.layer_groups = lambda: [list(backbone.parameters())]
    return Net(backbone, 2)


def test_stages_are_those_of_the_steps_in_shares(net):
    pipeline = Pipeline([LinearProbe(), LPFT(probe_share=0.25), DANN()], shares=[1, 2, 1])
    pipeline.build(net, SPEC)
    stages = pipeline.stages()
    assert [stage.name for stage in stages] == [
        "LinearProbe",
        "LPFT probe",
        "LPFT finetune",
        "DANN",
    ]
    assert [stage.share for stage in stages] == [1.0, 0.5, 1.5, 1.0]
    assert [stage.feed for stage in stages] == ["plain", "plain", "plain", "pair"]
    assert [stage.cached_features for stage in stages] == [True, True, False, False]


def test_each_stage_trains_what_its_step_trains(net):
    dann = DANN()
    pipeline = Pipeline([LinearProbe(), dann])
    pipeline.build(net, SPEC)
    found = [
        {id(p) for group in pipeline.param_groups(net, stage) for p in group["params"]}
        for stage in (0, 1)
    ]
    assert found[0] == {id(p) for p in net.head.parameters()}
    assert found[1] == {id(p) for p in [*net.parameters(), *dann.parameters()]}


def test_the_last_step_says_what_is_learned_from_and_compared_with():
    pipeline = Pipeline([Finetune(), DANN()])
    assert (pipeline.feed, pipeline.controls) == ("pair", DANN.controls)
    assert Pipeline([DANN(), Finetune()]).feed == "plain"


def test_only_what_every_step_takes_is_taken():
    class Pixels(Finetune):
        modalities = ("image",)

    assert Pipeline([Pixels(), DANN()]).modalities == ("image",)


def test_shares_are_one_a_step():
    with pytest.raises(ValueError, match="shares=.*2 numbers above 0 wanted"):
        Pipeline([Finetune(), DANN()], shares=[1.0])
    with pytest.raises(ValueError, match="steps names no strategy"):
        Pipeline([])


def test_a_pipeline_of_one_step_is_that_step(run, tmp_path):
    run(tmp_path / "alone", "strategy=dann")
    run(tmp_path / "pipeline", "strategy=pipeline", "strategy.steps=[dann]")
    alone = load_file(tmp_path / "alone" / "model.safetensors")
    piped = load_file(tmp_path / "pipeline" / "model.safetensors")
    for name, tensor in alone.items():
        assert torch.equal(tensor, piped[name.replace("strategy.", "strategy.steps.0.")]), name


def test_probing_then_fine_tuning_is_lp_ft(run, tmp_path):
    run(tmp_path / "lp_ft", "strategy=lp_ft")
    run(tmp_path / "pipeline", "strategy=pipeline", "strategy.steps=[linear_probe,finetune]")
    one, other = (load_file(tmp_path / n / "model.safetensors") for n in ("lp_ft", "pipeline"))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
