"""What a trained network scores, one way a module."""

from importlib import import_module
from typing import cast

from tltool.evaluation.base import Evaluation


def evaluation_class(name: str) -> type[Evaluation]:
    """Returns the evaluation called ``name``: the class of that name in the module of that name."""
    module = import_module(f"tltool.evaluation.{name}")
    return cast(type[Evaluation], getattr(module, name.title().replace("_", "")))
