"""Shapes of training batches, one module each."""

from importlib import import_module
from typing import cast

from tltool.data.feeds.base import Feed


def feed_class(name: str) -> type[Feed]:
    """Returns the feed called ``name``: the class of that name in the module of that name."""
    module = import_module(f"tltool.data.feeds.{name}")
    return cast(type[Feed], getattr(module, name.title().replace("_", "")))
