"""Backbones to compare on one dataset: those typed, or all there are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tltool.config.compose import ConfigDirs, Resolved, plan
from tltool.config.options import options
from tltool.errors import UserError

GROUP = "backbone"
STRATEGY = "strategy=linear_probe"  # takes any data and any backbone; it is not trained


@dataclass(frozen=True)
class Candidate:
    """A backbone, in a configuration that is otherwise the same for all.

    Args:
        name: Shown to the user: the option, and what else was typed of it.
        overrides: What chooses it.
        others: What else was typed.
        resolved: The configuration.
    """

    name: str
    overrides: tuple[str, ...]
    others: tuple[str, ...]
    resolved: Resolved


def _group(arg: str) -> str:
    """Returns the group of an override: ``backbone`` of ``backbone.size=96``."""
    return arg.lstrip("+~").partition("=")[0].partition(".")[0]


def candidates(args: Sequence[str], config_dirs: ConfigDirs = ()) -> list[Candidate]:
    """Returns the backbones that overrides name, as ``backbone=a,b`` or ``backbone.size=96,224``.

    Raises:
        UserError: Anything wrong with the overrides, or runs that differ in more than that.
    """
    if named := [arg for arg in args if _group(arg) == "strategy"]:
        raise UserError(f"{named[0]}: recommend names the strategy; leave it out")
    resolved: list[Resolved] = []
    runs = plan([*args, STRATEGY], config_dirs, resolved.append)
    shared = [{**one.config, GROUP: None} for one in resolved]
    if any(one != shared[0] for one in shared):
        raise UserError("recommend compares backbones on one dataset: only backbone=a,b can vary")
    return [_candidate(run, one) for run, one in zip(runs, resolved, strict=True)]


def every_candidate(
    args: Sequence[str], config_dirs: ConfigDirs = ()
) -> tuple[list[Candidate], dict[str, str]]:
    """Returns every backbone that fits overrides which name none, and why others do not.

    Raises:
        UserError: No backbone fits.
    """
    found: list[Candidate] = []
    refused: dict[str, tuple[str, ...]] = {}
    for option in options(GROUP, config_dirs):
        try:
            found += candidates([f"{GROUP}={option.name}", *args], config_dirs)
        except UserError as error:
            refused[option.name] = error.problems
    if not found:
        raise UserError(*common(refused))
    return found, {name: problems[0] for name, problems in refused.items()}


def common(refused: Mapping[str, Sequence[str]]) -> list[str]:
    """Returns the problems that all share, such as the dataset's; all problems if they share none.

    Args:
        refused: Problems by name, at least one.
    """
    every = dict.fromkeys(line for lines in refused.values() for line in lines)
    shared = [line for line in every if all(line in lines for lines in refused.values())]
    return shared or list(every)


def _candidate(run: Sequence[str], resolved: Resolved) -> Candidate:
    own = tuple(arg for arg in run if _group(arg) == GROUP)
    others = [arg for arg in run if _group(arg) not in (GROUP, "strategy")]
    if "dataset" not in [arg.partition("=")[0] for arg in others]:
        others.insert(0, f"dataset={resolved.choices['dataset']}")
    typed = [arg.removeprefix(f"{GROUP}.") for arg in own if "." in arg.partition("=")[0]]
    name = " ".join([resolved.choices[GROUP], *typed])
    return Candidate(name, own, tuple(others), resolved)
