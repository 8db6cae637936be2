from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tltool.config.kinds import convert
from tltool.config.signature import Parameter, class_attribute, docline, signature_of
from tltool.errors import UserError

Add = Callable[[str, str], Path]
pytestmark = pytest.mark.usefixtures("kit")


def options(target: str) -> dict[str, Parameter]:
    return {parameter.name: parameter for parameter in signature_of(target).options}


def test_a_class_has_the_parameters_of_its_init() -> None:
    found = {name: one.default for name, one in options("fakekit.parts.Method").items()}
    assert found == {"hidden": 1024, "trade_off": 1.0, "schedule": "cosine", "size": (1, 2)}


@pytest.mark.parametrize("target", ["fakekit.parts.Derived", "fakekit.Exported"])
def test_inherited_and_re_exported_signatures_are_found(target: str) -> None:
    assert list(options(target)) == ["hidden", "trade_off", "schedule", "size"]


def test_a_base_outside_the_allowed_packages_has_no_parameters() -> None:
    assert options("fakekit.parts.Plain") == {}


def test_dataclass_fields_come_from_the_bases_first() -> None:
    found = options("fakekit.parts.Adam")
    assert list(found) == ["lr", "momentum", "betas", "other"]
    assert found["lr"].required and not found["momentum"].required
    assert found["betas"].default == []


def test_what_the_program_hands_over_is_no_option() -> None:
    names = [one.name for one in signature_of("fakekit.parts.machine").parameters]
    assert names == ["net", "devices", "rate", "extra"]
    assert list(options("fakekit.parts.machine")) == ["devices", "rate", "extra"]


def test_a_computed_default_is_optional_but_unknown() -> None:
    rate = options("fakekit.parts.machine")["rate"]
    assert not rate.required and not rate.has_literal_default


def test_class_attributes_and_doclines() -> None:
    assert class_attribute("fakekit.parts.Derived", "feed") == "pair"
    assert class_attribute("fakekit.parts.Derived", "modalities") == ("image",)
    assert class_attribute("fakekit.parts.Derived", "controls", ()) == ()
    assert docline("fakekit.parts.Method") == "The method."
    assert docline("fakekit.parts.Base") == ""


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("os.system", "not allowed; a target begins with tltool. or fakekit."),
        ("fakekitten.parts.Method", "not allowed"),
        ("fakekit.nothing.Method", "there is no module 'fakekit.nothing'"),
        ("fakekit.parts.Nothing", "parts.py has no class or function 'Nothing'"),
        ("fakekit.parts.Popen", "no class or function 'Popen'"),  # a foreign re-export
        ("fakekit.parts.os.system", "there is no module 'fakekit.parts.os'"),
        ("fakekit.kinds.WIDTH", "no class or function 'WIDTH'"),
    ],
)
def test_targets_are_refused_with_the_reason(target: str, reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        signature_of(target)


def test_a_prefix_must_end_with_a_dot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TLTOOL_ALLOW", "fakekit")
    with pytest.raises(UserError, match=r"TLTOOL_ALLOW=fakekit: .* ends with a dot"):
        signature_of("fakekit.parts.Method")


def test_a_syntax_error_is_the_users(add: Add) -> None:
    add("fakekit/broken.py", "def broken(:\n")
    with pytest.raises(UserError, match=r"broken.py: not readable as Python"):
        signature_of("fakekit.broken.broken")


KINDS = """
    from typing import Literal, Optional, Sequence, Union
    from fakekit.kinds import Schedule

    class Typed:
        def __init__(self, integer: int, real: float, text: str, flag: bool, maybe: int | None,
                     old: Optional[float], either: Union[str, int], named: Schedule,
                     mixed: Literal["auto", 32], many: list[int], pair: tuple[int, float],
                     row: Sequence[str], table: dict[str, float], free): ...
"""
GOOD = [
    ("integer", 3, 3),
    ("real", 1, 1.0),
    ("real", 1e-3, 1e-3),
    ("text", "1", "1"),
    ("flag", True, True),
    ("maybe", None, None),
    ("old", 2, 2.0),
    ("either", 2, 2),
    ("named", "cosine", "cosine"),
    ("mixed", 32, 32),
    ("many", [1, 2], [1, 2]),
    ("pair", [1, 2], [1, 2.0]),
    ("row", ["a"], ["a"]),
    ("table", {"a": 1}, {"a": 1.0}),
    ("free", object, object),
]
BAD = [
    ("integer", "3", "int wanted"),
    ("integer", True, "int wanted"),
    ("integer", 3.0, "int wanted"),
    ("real", False, "float wanted"),
    ("real", "1e-3", "float wanted"),
    ("text", 1, "str wanted"),
    ("flag", 1, "bool wanted"),
    ("maybe", "no", "int or null wanted"),
    ("named", "cosin", "one of constant, cosine wanted; did you mean 'cosine'?"),
    ("mixed", "32", "one of auto, 32 wanted"),
    ("mixed", True, "one of auto, 32 wanted"),
    ("many", 1, "list of int wanted"),
    ("many", ["a"], "int wanted"),
    ("pair", [1, 2, 3], "2 items wanted, 3 given"),
    ("table", [1], "dict wanted"),
    ("table", {"a": "b"}, "float wanted"),
]


@pytest.mark.parametrize(("name", "value", "wanted"), GOOD)
def test_values_that_fit(add: Add, name: str, value: Any, wanted: Any) -> None:
    add("fakekit/typed.py", KINDS)
    result = convert(options("fakekit.typed.Typed")[name].kind, value)
    assert result == wanted and type(result) is type(wanted)


@pytest.mark.parametrize(("name", "value", "reason"), BAD)
def test_values_that_do_not_fit(add: Add, name: str, value: Any, reason: str) -> None:
    add("fakekit/typed.py", KINDS)
    with pytest.raises(ValueError) as caught:
        convert(options("fakekit.typed.Typed")[name].kind, value)
    assert str(caught.value).startswith(reason)
