"""Parts that one loss of several passes through and leaves as they are."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def frozen(*modules: nn.Module) -> Iterator[None]:
    """Within it, what the modules compute gives their parameters no gradient.

    Gradients pass through to their inputs, also after it. An optimiser passes over a parameter
    that got none: neither momentum nor weight decay moves it.
    """
    trained = [p for module in modules for p in module.parameters() if p.requires_grad]
    for parameter in trained:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)
