"""Arguments that several commands take."""

from pathlib import Path
from typing import Annotated

import typer


def _complete(ctx: typer.Context, incomplete: str) -> list[str]:
    from tltool.config.completion import complete

    given = ctx.params.get("overrides") or []
    folders = ctx.params.get("config_dir") or []
    return complete(incomplete, list(given), [str(folder) for folder in folders])


Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        help="Hydra overrides, such as strategy=dann seed=1 dataset.source=PHOTOS.",
        autocompletion=_complete,
        show_default=False,
    ),
]
ConfigDirs = Annotated[
    list[Path] | None,
    typer.Option("--config-dir", help="Folder with options of your own, beside tltool's."),
]
RunDir = Annotated[Path, typer.Argument(help="A run folder.", show_default=False)]
