"""What a run starts from: the backbone of an earlier run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tltool.data.readers import checked_reader
from tltool.data.readers.image_folder import ImageFolder
from tltool.errors import UserError
from tltool.run.folder import MODEL, RunFolder, read_config

if TYPE_CHECKING:
    from tltool.backbones.base import Backbone

KEY = "backbone.init_from"
RUN = "run"  # forgetting=run: the old data are that run's
PREFIX = "net.backbone."  # of the backbone's tensors in what a run exports
# Of what the weights must be given (sha256: of a tokenizer); the size may be another.
NORMALISATION = ("mean", "std", "sha256")
SHOWN = 3  # differences in an error


def check_start(config: Mapping[str, Any]) -> None:
    """Checks, without loading anything, what a run starts from and measures `forgetting` on.

    Args:
        config: Resolved.

    Raises:
        UserError: There is no such run, it is not finished, or the old data are gone.
    """
    run, old = config["backbone"].get("init_from"), config["forgetting"]
    if run is not None:
        _finished(Path(run))
    if old == RUN and run is None:
        raise UserError(
            "forgetting=run measures on the test data of the run that backbone.init_from names: "
            "type backbone.init_from=RUN, or forgetting=FOLDER"
        )
    try:
        if old == RUN:
            checked_reader(read_config(Path(run))["dataset"])
        elif old is not None:
            ImageFolder(old).check()
    except UserError as error:
        raise UserError(*(f"forgetting={old}: {problem}" for problem in error.problems)) from error


def start_from(backbone: Backbone, run: Path) -> None:
    """Puts the backbone weights of a finished run in place, and their origin on record.

    Raises:
        UserError: There is no such run, it is not finished, or its backbone is another one.
    """
    from safetensors import SafetensorError, safe_open

    results, path = _finished(run), run / MODEL
    try:
        with safe_open(path, framework="pt") as file:
            names = [name for name in file.keys() if name.startswith(PREFIX)]  # noqa: SIM118
            state = {name.removeprefix(PREFIX): file.get_tensor(name) for name in names}
            preprocessing = json.loads(file.metadata()["preprocessing"])
    except (OSError, SafetensorError) as error:
        raise UserError(f"{KEY}={run}: its {MODEL} is missing or damaged") from error
    found = [*_differences(state, backbone.state_dict())]
    now = backbone.preprocessing.describe()
    found += [
        f"{key} is {preprocessing.get(key)} there and {now.get(key)} here"
        for key in NORMALISATION
        if json.dumps(preprocessing.get(key)) != json.dumps(now.get(key))
    ]
    if found:
        more = f", and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
        raise UserError(
            f"{KEY}={run}: its backbone ({results['backbone']}) is not this one: "
            f"{'; '.join(found[:SHOWN])}{more}; type the backbone and the options of that run"
        )
    backbone.load_state_dict(state)
    with path.open("rb") as opened:
        sha256 = hashlib.file_digest(opened, "sha256").hexdigest()
    backbone.provenance = {
        **backbone.provenance,
        "weights": "run",
        "run": str(run.resolve()),
        "strategy": results["strategy"],
        "sha256": sha256,
        "before": RunFolder(run).read_json("record.json").get("weights", {}),
    }


def _finished(run: Path) -> dict[str, Any]:
    """Returns the results of a run that is done."""
    try:
        read_config(run)
    except UserError as error:
        raise UserError(f"{KEY}={error}; type the folder of a finished run") from error
    results = RunFolder(run).read_json("results.json")
    if results.get("status") != "done":
        raise UserError(f"{KEY}={run}: it is not finished; type `tltool train --resume {run}`")
    return results


def _differences(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> Iterator[str]:
    """Says of each tensor that only one of two has, or in another shape, which and how."""
    for name in dict.fromkeys([*theirs, *ours]):
        there, here = (
            str(tuple(state[name].shape)) if name in state else "missing"
            for state in (theirs, ours)
        )
        if there != here:
            yield f"{name} is {there} there and {here} here"
