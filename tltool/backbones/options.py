"""The keys that every `backbone` option shares, beside its own."""

from dataclasses import dataclass


@dataclass(frozen=True)
class BackboneOptions:
    """Where a backbone's weights come from, whichever backbone it is.

    Args:
        init_from: Folder of a finished run with the same backbone, whose trained weights this one
            starts from, in place of those that it brings.
    """

    init_from: str | None = None
