"""A configuration tree and a package of its own, so that these tests do not depend on conf/."""

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent

import pytest

REPO = Path(__file__).parents[2]

MODULE = {
    "fakekit/__init__.py": "from fakekit.parts import Method as Exported\n",
    "fakekit/kinds.py": """
        from typing import Literal
        Schedule = Literal["constant", "cosine"]
        WIDTH = 1024
    """,
    "fakekit/parts.py": """
        import os
        from dataclasses import dataclass, field
        from subprocess import Popen
        from pathlib import Path
        from typing import Any, ClassVar, Optional

        import missing_heavy_library
        from missing_heavy_library import nn

        from . import kinds
        from .kinds import WIDTH, Schedule

        class Base(nn.Module):
            feed = "plain"
            modalities = ("image",)
            needs: tuple[str, ...] = ()

        class Plain(Base):
            '''The plain method.'''

        class Method(Base):
            '''The method.

            More.
            '''
            feed = "pair"
            needs = ("missing_heavy_library",)

            def __init__(self, hidden: int = WIDTH, trade_off: float = 1.0,
                         schedule: Schedule = "cosine", *, size: "tuple[int, ...]" = (1, 2)):
                ...

        class Derived(Method):
            pass

        class Data:
            def __init__(self, source: str, target: Optional[str] = None,
                         folder: Path = Path("x"), pair: tuple[int, int] = (1, 2)): ...

        @dataclass
        class Step:
            lr: float
            kind: ClassVar[int] = 1
            momentum: float = 0.9

        @dataclass(frozen=True)
        class Adam(Step):
            betas: list[float] = field(default_factory=list)
            other: kinds.Schedule | None = None
            state: int = field(default=0, init=False)

        def machine(net: nn.Module, devices: int = 1, rate: float = 2 * 0.5, extra: Any = None): ...
    """,
}

CONF = {
    "backbone/lenet.yaml": "# A small net\n_target_: fakekit.parts.Plain\n",
    "strategy/source_only.yaml": "# Source alone\n_target_: fakekit.parts.Plain\n",
    "strategy/dann.yaml": "# Adversarial\n_target_: fakekit.parts.Method\ntrade_off: 0.5\n",
    "strategy/coral.yaml": "_target_: fakekit.parts.Derived\n",
    "dataset/mnist_m.yaml": "# Digits\n_target_: fakekit.parts.Data\nsource: here\n",
    "dataset/folder.yaml": "# Your own\n_target_: fakekit.parts.Data\n",
    "hardware/auto.yaml": "_target_: fakekit.parts.machine\n",
    "optimizer/sgd.yaml": "_target_: fakekit.parts.Step\nlr: 0.01\n",
    "optimizer/adam.yaml": "_target_: fakekit.parts.Adam\nlr: 0.001\n",
    "logger/csv.yaml": "_target_: fakekit.parts.Plain\n",
    "experiment/smoke.yaml": """
        # @package _global_
        # Seconds, no download
        defaults:
          - override /strategy: dann
        steps: 30
        dataset:
          batch_size: 8
    """,
}


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text), encoding="utf-8")


@pytest.fixture
def add(tmp_path: Path) -> Callable[[str, str], Path]:
    """Writes a text below the test's folder."""

    def add_file(name: str, text: str) -> Path:
        write(tmp_path, {name: text})
        return tmp_path / name

    return add_file


@pytest.fixture
def kit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Puts a package `fakekit` on the path and allows it as a target; it cannot be imported."""
    write(tmp_path, MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("TLTOOL_ALLOW", "fakekit.")
    monkeypatch.delenv("TLTOOL_CONF", raising=False)
    yield tmp_path
    assert "fakekit.parts" not in sys.modules


@pytest.fixture
def conf(kit: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Replaces tltool's options by a few of `fakekit`; config.yaml is the real one."""
    folder = kit / "conf"
    write(folder, CONF)
    shutil.copy(REPO / "conf" / "config.yaml", folder)
    monkeypatch.setattr("tltool.config.paths.conf_dir", lambda: folder)
    return folder
