"""Every file in conf/ composes, and binds to the signature of its target."""

import importlib
import inspect

import pytest
import yaml

from tltool.config.compose import defaults, load_option, resolve
from tltool.config.options import options
from tltool.config.paths import conf_dir
from tltool.config.schema import GROUPS, PRESETS
from tltool.config.signature import signature_of
from tltool.config.validate import group_options

OPTIONS = [
    (path.parent.name, path.stem)
    for path in sorted(conf_dir().glob("*/*.yaml"))
    if path.parent.name in GROUPS
]
TARGETS = sorted(
    {
        yaml.safe_load((conf_dir() / group / f"{name}.yaml").read_text())["_target_"]
        for group, name in OPTIONS
    }
)
PRESET_NAMES = [path.stem for path in sorted((conf_dir() / PRESETS).glob("*.yaml"))]


def test_every_group_has_options() -> None:
    assert {group for group, _ in OPTIONS} == set(GROUPS)
    assert PRESET_NAMES


@pytest.mark.parametrize(("group", "option"), OPTIONS)
def test_an_option_binds_to_its_signature(group: str, option: str) -> None:
    node = load_option(group, option)
    known = group_options(group, node["_target_"])
    missing = {name for name, one in known.items() if name not in node and one.has_literal_default}
    assert set(node) - {"_target_"} <= set(known) and not missing


@pytest.mark.parametrize("target", TARGETS)
def test_what_is_read_from_source_is_what_python_sees(target: str) -> None:
    module, _, name = target.rpartition(".")
    found = inspect.signature(getattr(importlib.import_module(module), name)).parameters.values()
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    real = [one for one in found if one.kind not in variadic]
    read = signature_of(target).parameters
    assert [one.name for one in read] == [one.name for one in real]
    for ours, theirs in zip(read, real, strict=True):
        assert ours.required == (theirs.default is inspect.Parameter.empty)
        if ours.has_literal_default:
            assert ours.default == theirs.default


@pytest.mark.parametrize(("group", "option"), OPTIONS)
def test_a_yaml_states_only_what_it_changes(group: str, option: str) -> None:
    node = yaml.safe_load((conf_dir() / group / f"{option}.yaml").read_text())
    known = group_options(group, node.pop("_target_"))
    repeated = [key for key in node if node[key] == known[key].default]
    assert repeated == []


@pytest.mark.parametrize("group", [*GROUPS, PRESETS])
def test_every_option_has_a_description(group: str) -> None:
    assert [option.name for option in options(group) if not option.description] == []


@pytest.mark.parametrize("preset", PRESET_NAMES)
def test_a_preset_resolves(preset: str) -> None:
    assert resolve([f"experiment={preset}"]).choices[PRESETS] == preset


def test_defaults_resolve_with_every_group_chosen() -> None:
    assert set(GROUPS) <= set(defaults()["choices"])
