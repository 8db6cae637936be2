"""Options inside of an option, by the example of a pipeline's steps."""

import pytest

from tltool.config.compose import from_run, load_option, resolve
from tltool.config.instantiate import check_needs, instantiate
from tltool.config.nested import nodes
from tltool.config.options import options
from tltool.errors import UserError
from tltool.strategies.adaptation.dann import DANN
from tltool.strategies.finetuning.finetune import Finetune
from tltool.strategies.pipeline import Pipeline


def given(steps: str) -> list[str]:
    return ["strategy=pipeline", f"strategy.steps={steps}"]


def test_names_become_nodes_with_every_default_filled_in():
    steps = resolve(given("[finetune,dann]")).config["strategy"]["steps"]
    assert steps == [load_option("strategy", "finetune"), load_option("strategy", "dann")]


def test_values_of_a_step_go_on_top_of_its_defaults():
    [step] = resolve(given("[{dann:{hidden:32}}]")).config["strategy"]["steps"]
    assert step == load_option("strategy", "dann") | {"hidden": 32}


def test_a_saved_configuration_is_taken_as_it_is():
    saved = resolve(given("[{dann:{hidden:32}}]")).saved()
    assert from_run(saved, []).config["strategy"] == saved["strategy"]


@pytest.mark.parametrize(
    ("steps", "problem"),
    [
        ("[finetun]", "did you mean 'finetune'"),
        ("[{dann:{hiden:3}}]", "did you mean 'hidden'"),
        ("[{dann:{hidden:many}}]", "strategy.steps.dann.hidden=many: int wanted"),
        ("[3]", "list of strategy option wanted|strategy option wanted"),
        ("dann", "strategy.steps=dann: list of strategy option wanted"),
    ],
)
def test_mistakes_in_a_step_are_named(steps, problem):
    with pytest.raises(UserError, match=problem):
        resolve(given(steps))


def test_all_mistakes_come_at_once():
    with pytest.raises(UserError) as error:
        resolve(given("[finetun,{dann:{hiden:3}}]"))
    assert len(error.value.problems) == 2


def test_instantiating_makes_the_steps():
    pipeline = instantiate(resolve(given("[finetune,{dann:{hidden:32}}]")).config["strategy"])
    assert isinstance(pipeline, Pipeline)
    first, second = pipeline.steps
    assert isinstance(first, Finetune) and isinstance(second, DANN) and second.hidden == 32


def test_nodes_inside_of_nodes_are_found_so_that_their_packages_are_checked(monkeypatch):
    config = resolve(given("[finetune,dann]")).config
    targets = [node["_target_"].rpartition(".")[2] for node in nodes(config)]
    assert {"Pipeline", "Finetune", "DANN"} <= set(targets)
    check_needs(config)


def test_the_list_of_options_says_how_to_type_it():
    [pipeline] = [one for one in options("strategy") if one.name == "pipeline"]
    assert "strategy.steps=[" in pipeline.description
