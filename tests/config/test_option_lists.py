"""What is listed and completed."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tltool.config.completion import complete
from tltool.config.options import Option, options
from tltool.errors import UserError

Add = Callable[[str, str], Path]
pytestmark = pytest.mark.usefixtures("conf")


def test_options_are_listed_with_what_they_are() -> None:
    assert options("strategy") == [
        Option(
            "coral", "", "fakekit.parts.Derived", "pair", ("image",), ("missing_heavy_library",)
        ),
        Option(
            "dann",
            "Adversarial",
            "fakekit.parts.Method",
            "pair",
            ("image",),
            ("missing_heavy_library",),
        ),
        Option("source_only", "Source alone", "fakekit.parts.Plain", "plain", ("image",), ()),
    ]


def test_presets_have_a_description_below_the_package_line() -> None:
    assert options("experiment") == [Option("smoke", "Seconds, no download")]


def test_without_a_comment_the_docstring_describes(add: Add) -> None:
    folder = add("mine/strategy/new.yaml", "_target_: fakekit.parts.Method\n").parents[1]
    add("mine/strategy/notes.txt", "not an option")
    add("mine/strategy/child.yaml", "# A child\ndefaults:\n  - dann\nhidden: 3\n")
    listed = {option.name: option for option in options("strategy", [folder])}
    assert list(listed) == ["child", "coral", "dann", "new", "source_only"]
    assert listed["new"].description == "The method."
    assert listed["child"].target == "fakekit.parts.Method"


def test_an_unknown_group_and_a_broken_file_are_refused(add: Add) -> None:
    with pytest.raises(UserError, match="stratgy: no such group; did you mean 'strategy'?"):
        options("stratgy")
    folder = add("mine/strategy/torn.yaml", "a: [\n").parents[1]
    with pytest.raises(UserError, match=r"^.*torn.yaml: cannot be read: [^\n]*$"):
        options("strategy", [folder])


@pytest.mark.parametrize(
    ("incomplete", "given", "wanted"),
    [
        ("strat", [], ["strategy=", "strategy."]),
        ("se", [], ["seed=", "selection="]),
        ("strategy=d", [], ["strategy=dann"]),
        ("+strategy=d", [], ["+strategy=dann"]),
        ("strategy=dann,c", [], ["strategy=dann,coral"]),
        ("experiment=", [], ["experiment=smoke"]),
        ("strategy.", [], []),
        ("strategy.h", ["strategy=dann"], ["strategy.hidden="]),
        ("++strategy.h", ["strategy=dann"], ["++strategy.hidden="]),
        ("strategy.schedule=", ["strategy=dann"], ["strategy.schedule=constant",
                                                    "strategy.schedule=cosine"]),
        ("dataset.augment=fl", [], ["dataset.augment=flip", "dataset.augment=flip_crop"]),
        ("dataset.b", [], ["dataset.batch_size="]),
        ("selection=s", [], ["selection=snd", "selection=source_val"]),
        ("controls=", [], ["controls=true", "controls=false"]),
        ("epochs=n", [], ["epochs=null"]),
        ("nothing.", [], []),
        ("nothing=", [], []),
        ("strategy.", ["strategy=nothing"], []),
    ],
)  # fmt: skip
def test_completion(incomplete: str, given: list[str], wanted: list[str]) -> None:
    assert complete(incomplete, given) == wanted


def test_completion_swallows_errors(tmp_path: Path) -> None:
    assert complete("strategy=", [], [str(tmp_path / "nowhere")]) == []
