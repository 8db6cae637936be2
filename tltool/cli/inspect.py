"""`tltool show`, `tltool list` and `tltool doctor`: look without training."""

import json
from dataclasses import asdict
from typing import Annotated

import typer

from tltool.cli.options import ConfigDirs, Overrides
from tltool.errors import UserError, did_you_mean


def show(overrides: Overrides = None, config_dir: ConfigDirs = None) -> None:
    """Print the resolved configuration, or everything that is wrong with it."""
    import yaml

    from tltool.config.compose import resolve

    print(
        yaml.safe_dump(resolve(overrides or [], config_dir or []).saved(), sort_keys=False), end=""
    )


def _complete_group(incomplete: str) -> list[str]:
    from tltool.config.schema import GROUPS

    return [group for group in GROUPS if group.startswith(incomplete)]


def list_(
    group: Annotated[
        str | None,
        typer.Argument(help="One group only.", autocompletion=_complete_group, show_default=False),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    config_dir: ConfigDirs = None,
) -> None:
    """List every backbone, strategy, dataset, hardware, ... with one line each."""
    from tltool.config.options import options
    from tltool.config.schema import GROUPS, PRESETS

    groups = [*GROUPS, PRESETS]
    if group is not None and group not in groups:
        raise UserError(
            f"{group}: no such group{did_you_mean(group, groups)} ({', '.join(groups)})"
        )
    found = {name: options(name, config_dir or []) for name in ([group] if group else groups)}
    if as_json:
        print(json.dumps({name: [asdict(one) for one in found[name]] for name in found}, indent=2))
        return
    from rich.console import Console

    from tltool.report.tables import options_table, show

    show(Console(), options_table(found))


def doctor() -> None:
    """Check versions, devices, cache and whether the hub answers."""
    from rich.console import Console

    from tltool.cli.diagnosis import diagnose
    from tltool.report.tables import checks_table, show

    checks = diagnose()
    show(Console(), checks_table(checks))
    if not all(check.ok for check in checks if check.required):
        raise typer.Exit(1)
