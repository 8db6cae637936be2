import pytest

from tltool.config.candidates import candidates, common, every_candidate
from tltool.errors import UserError

DATA = "dataset=mnist_m"


def refused(*args: str) -> list[str]:
    with pytest.raises(UserError) as caught:
        candidates(args)
    return list(caught.value.problems)


def test_backbones_are_listed_as_hydra_sweeps_them():
    first, second = candidates(["backbone=lenet,resnet18", DATA, "seed=3"])
    assert (first.name, second.name) == ("lenet", "resnet18")
    assert second.overrides == ("backbone=resnet18",)
    assert second.others == (DATA, "seed=3")
    assert second.resolved.config["backbone"]["name"] == "resnet18"
    assert second.resolved.config["seed"] == 3


def test_options_of_a_backbone_name_it_too_and_the_dataset_is_always_named():
    found = candidates(["backbone=efficientnet_lite0", "backbone.size=64,96"])
    assert [one.name for one in found] == [f"efficientnet_lite0 size={n}" for n in (64, 96)]
    assert found[1].overrides == ("backbone=efficientnet_lite0", "backbone.size=96")
    assert found[1].others == (DATA,)


def test_without_a_backbone_all_that_fit_are_listed_and_the_others_with_a_reason():
    found, left_out = every_candidate([DATA])
    assert {"lenet", "efficientnet_lite0"} <= {one.name for one in found}
    assert left_out == dict.fromkeys(
        ("timm", "transformer"), "backbone.name is required: type backbone.name=…"
    )
    found, left_out = every_candidate([DATA, "backbone.size=96"])
    assert "efficientnet_lite0 size=96" in {one.name for one in found}
    assert "no option 'size'" in left_out["lenet"]


def test_what_is_wrong_with_all_is_said_once():
    with pytest.raises(UserError) as caught:
        every_candidate(["dataset=mnist_mm"])
    [problem] = caught.value.problems
    assert "did you mean 'mnist_m'?" in problem
    assert common({"a": ["x", "shared"], "b": ["shared", "y"]}) == ["shared"]
    assert common({"a": ["x"], "b": ["y"]}) == ["x", "y"]


def test_only_the_backbone_can_vary_and_the_strategy_is_not_given():
    assert refused("backbone=lenet", "seed=0,1") == [
        "recommend compares backbones on one dataset: only backbone=a,b can vary"
    ]
    [problem] = refused("backbone=lenet", "strategy=dann")
    assert problem == "strategy=dann: recommend names the strategy; leave it out"
