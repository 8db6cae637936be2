"""What one configuration has other than another."""

from collections.abc import Mapping
from typing import Any


def difference(config: Mapping[str, Any], base: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """Lists what `config` has other than `base`: dotted key, value, default (None if without).

    `_target_` is left out; an option chosen is listed under its group's name.
    """
    theirs = _flat(base)
    return [
        (key.removeprefix("choices."), value, theirs.get(key))
        for key, value in _flat(config).items()
        if value != theirs.get(key) and not key.endswith("_target_")
    ]


def _flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            flat.update(_flat(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat
