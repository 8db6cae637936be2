import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tltool.config.instantiate import check_needs, instantiate, instantiate_shared
from tltool.data.options import DataOptions
from tltool.errors import UserError

MODULE = """
    from pathlib import Path

    class Part:
        needs = ()

        def __init__(self, net, size: tuple[int, ...] = (1,), row: list[int] = [],
                     folder: Path = Path()):
            if not size:
                raise ValueError("size is empty")
            self.given = (net, size, row, folder)

    class Needy:
        needs = ("mlxtend_not_there", "json")

    class Demo:
        needs = ("no_such_module",)
"""


@pytest.fixture(autouse=True)
def live(
    add: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[None]:
    add("livekit/__init__.py", "")
    add("livekit/parts.py", MODULE)
    add("livekit/torn.py", "import no_such_module\nclass Torn: ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("TLTOOL_ALLOW", "livekit.")
    yield
    for name in [name for name in sys.modules if name.startswith("livekit")]:
        del sys.modules[name]


def node(target: str, **keys: Any) -> dict[str, Any]:
    return {"_target_": target, **keys}


def test_a_node_becomes_an_object() -> None:
    made = instantiate(
        node("livekit.parts.Part", size=[1, 2], row=[3], folder="a", batch_size=8), net="net"
    )
    assert made.given == ("net", (1, 2), [3], Path("a"))


def test_extra_wins() -> None:
    assert instantiate(node("livekit.parts.Part", net="theirs"), net="ours").given[0] == "ours"


def test_shared_keys_become_their_own_object() -> None:
    keys = node("livekit.parts.Part", size=[1], batch_size=8, augment="flip")
    assert instantiate_shared("dataset", keys) == DataOptions(batch_size=8, augment="flip")
    with pytest.raises(ValueError, match="strategy has no shared keys"):
        instantiate_shared("strategy", keys)


def test_a_value_that_is_refused_is_the_users() -> None:
    with pytest.raises(UserError, match="^Part: size is empty$"):
        instantiate(node("livekit.parts.Part", size=[]), net=None)


@pytest.mark.parametrize("target", ["os.system", "subprocess.Popen", "", "livekitten.parts.Part"])
def test_targets_outside_the_allowed_are_refused(target: str) -> None:
    with pytest.raises(UserError, match="not allowed; a target begins with tltool. or livekit."):
        instantiate(node(target))


def test_a_module_that_does_not_import_is_one_line() -> None:
    with pytest.raises(UserError, match="livekit.torn.Torn: cannot be imported: No module named"):
        instantiate(node("livekit.torn.Torn"))


def test_missing_packages_are_named_before_anything_is_imported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "tltool.config.instantiate.EXTRAS", {"mlxtend_not_there": "demo", "json": "x"}
    )
    needy = node("livekit.parts.Needy")
    line = r"^Needy needs mlxtend_not_there: type pip install 'tltool\[demo\]'$"
    with pytest.raises(UserError, match=line):
        instantiate(needy)
    with pytest.raises(UserError) as caught:
        check_needs({"strategy": needy, "dataset": node("livekit.parts.Demo"), "seed": 0})
    assert len(caught.value.problems) == 2
    assert "Demo needs no_such_module: type pip install no_such_module" in caught.value.problems
    check_needs({"strategy": node("livekit.parts.Part")})
