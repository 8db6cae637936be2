"""Small folders of images, and two ways to look at a reader."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tltool.data.readers.base import Reader
from tltool.data.readers.digits import digit_images
from tltool.errors import UserError

Row = tuple[str, int, str, str]


@pytest.fixture(scope="session")
def mnist() -> Any:
    """Returns pixels and labels of MNIST's digits, read once."""
    return digit_images("mnist")


@pytest.fixture
def picture() -> Callable[..., Path]:
    """Writes one small image of a value, in the format of its suffix."""

    def write(path: Path, value: int = 0) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        kind = path.suffix[1:].lower().replace("jpg", "jpeg")
        Image.new("RGB", (6, 4), (value, 0, 0)).save(path, kind)
        return path

    return write


@pytest.fixture
def folder(picture: Callable[..., Path]) -> Callable[..., str]:
    """Fills a folder with images of these names, each of another value."""

    def fill(root: Path, *names: str) -> str:
        for value, name in enumerate(names):
            picture(root / name, value)
        return str(root)

    return fill


@pytest.fixture
def problems() -> Callable[[Reader], tuple[str, ...]]:
    """Returns what a reader's check finds, one line each."""

    def check(reader: Reader) -> tuple[str, ...]:
        with pytest.raises(UserError) as caught:
            reader.check()
        assert all("\n" not in line for line in caught.value.problems)
        return caught.value.problems

    return check


@pytest.fixture
def rows() -> Callable[[Reader], list[Row]]:
    """Returns path, label, domain and split of every row that a reader reads."""

    def read(reader: Reader) -> list[Row]:
        table = reader.read()
        columns = (table[name][:] for name in ("path", "label", "domain", "split"))
        return list(zip(*columns, strict=True))

    return read
