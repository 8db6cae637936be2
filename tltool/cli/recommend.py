"""`tltool recommend`: which strategy, and why, without training."""

import json
from typing import Annotated

import typer

from tltool.cli.options import ConfigDirs, Overrides

# Half a minute where a network sees 150 images a second, once pretrained and once random:
# EfficientNet-Lite0 at its own 224 pixels on two CPU cores.
ROWS = 2000


def recommend(
    overrides: Overrides = None,
    rows: Annotated[
        int, typer.Option(min=100, help="Training examples to score, at most; drawn with seed=.")
    ] = ROWS,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    config_dir: ConfigDirs = None,
) -> None:
    """Recommend a strategy for a dataset, from measured evidence, without training.

    Compare with backbone=a,b; without backbone=, all whose weights are on this machine.
    """
    from rich.console import Console

    from tltool.config.candidates import candidates, every_candidate
    from tltool.config.instantiate import check_needs
    from tltool.data.readers import checked_reader

    args, folders = overrides or [], config_dir or []
    at_hand = all("backbone" != arg.partition("=")[0] for arg in args)
    if at_hand:
        found, left_out = every_candidate(args, folders)
    else:
        found, left_out = candidates(args, folders), {}
        for one in found:
            check_needs(one.resolved.config)
    reader = checked_reader(found[0].resolved.config["dataset"])
    progress = Console(stderr=True)
    with progress.status("loading torch"):
        from tltool.run import recommend as engine
    report = engine.recommend(found, reader, progress, most=rows, at_hand=at_hand)
    report["left_out"] = {**left_out, **report["left_out"]}
    command = report["recommendation"]["command"]
    report["recommendation"]["command"] = command + [
        part for folder in folders for part in ("--config-dir", str(folder))
    ]
    if as_json:
        print(json.dumps(report, indent=2))
        return
    from tltool.report.recommendation import recommendation_text
    from tltool.report.tables import show

    show(Console(), recommendation_text(report))
