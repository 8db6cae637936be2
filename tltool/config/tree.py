"""The configuration folders, and their composition by Hydra.

This and `grammar.py` are the only modules that touch Hydra's internals: `hydra.compose` works on a
process-wide state, and cannot run inside a job that `hydra.main` started.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tltool.config.paths import search_path
from tltool.config.schema import GROUPS, PRESETS
from tltool.errors import UserError

if TYPE_CHECKING:
    from hydra._internal.config_loader_impl import ConfigLoaderImpl

Composed = tuple[dict[str, Any], dict[str, str]]

# Lines that Hydra and OmegaConf add for their own developers.
_NOISE = ("See https", "full_key:", "object_type=", "reference_type=", "Config search path", "^")


class ConfigTree:
    """Options in tltool's folder and the user's; every composition is read from disk once."""

    def __init__(self, config_dirs: Sequence[str | Path] = ()) -> None:
        self.folders = search_path(config_dirs)
        self._composed: dict[tuple[str, ...], Composed] = {}

    def is_group(self, key: str) -> bool:
        """Whether `key` names a group: one of tltool's, or a folder of the user's."""
        known = key in GROUPS or key == PRESETS
        return known or ("." not in key and any((folder / key).is_dir() for folder in self.folders))

    def files(self, group: str) -> dict[str, Path]:
        """Maps the names of a group's options, sorted, to their files."""
        found: dict[str, Path] = {}
        for folder in self.folders:
            for path in (folder / group).glob("*.yaml"):
                found.setdefault(path.stem, path)
        return dict(sorted(found.items()))

    def has(self, group: str, option: str) -> bool:
        """Whether `group` has that option; one in a sub-folder is `folder/name`."""
        return any((folder / group / f"{option}.yaml").is_file() for folder in self.folders)

    def compose(self, choices: Sequence[str]) -> Composed:
        """Composes the defaults with `choices` (`group=option`).

        Returns:
            The unresolved configuration without Hydra's own keys, and the option of each group.

        Raises:
            UserError: A file cannot be read, or names an option that does not exist.
        """
        key = tuple(choices)
        if key not in self._composed:
            self._composed[key] = self._compose(key)
        return copy.deepcopy(self._composed[key])

    @cached_property
    def loader(self) -> ConfigLoaderImpl:
        """Hydra's loader over these folders."""
        from hydra import version
        from hydra._internal.config_loader_impl import ConfigLoaderImpl
        from hydra._internal.utils import create_config_search_path
        from hydra.core.config_search_path import SearchPathQuery
        from hydra.core.utils import setup_globals

        version.setbase("1.3")
        setup_globals()  # the resolvers `now` and `hydra`
        path = create_config_search_path(str(self.folders[0]))
        for folder in self.folders[1:]:  # Hydra wants its schema last
            path.prepend("user", f"file://{folder}", SearchPathQuery(provider="schema"))
        return ConfigLoaderImpl(config_search_path=path)

    def _compose(self, choices: Sequence[str]) -> Composed:
        from hydra.errors import HydraException
        from hydra.types import RunMode
        from omegaconf import OmegaConf
        from omegaconf.errors import OmegaConfBaseException
        from yaml import YAMLError

        try:
            config = self.loader.load_configuration(
                "config", overrides=list(choices), run_mode=RunMode.RUN, from_shell=False
            )
            options = OmegaConf.to_container(config.hydra.runtime.choices)
            plain = OmegaConf.to_container(config, resolve=False)
        except (HydraException, OmegaConfBaseException, YAMLError, ValueError, OSError) as error:
            raise UserError(f"the configuration does not compose: {one_line(error)}") from error
        assert isinstance(plain, dict) and isinstance(options, dict)
        plain.pop("hydra")
        chosen = {
            str(group): str(option)
            for group, option in options.items()
            if option is not None and not str(group).startswith("hydra/")
        }
        return {str(key): value for key, value in plain.items()}, chosen


def one_line(error: BaseException) -> str:
    """Puts the message of an error of Hydra's or OmegaConf's on one line."""
    text = str(error) or str(error.__cause__ or type(error).__name__)
    lines = (line.strip() for line in text.splitlines())
    return "; ".join(line for line in lines if line and not line.startswith(_NOISE))
