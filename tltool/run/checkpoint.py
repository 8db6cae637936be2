"""Everything that a run needs to go on as if it had not been interrupted."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tltool.errors import UserError
from tltool.run.folder import RunFolder

LAST = "checkpoints/last.ckpt"
SELECTED = "checkpoints/selected.ckpt"


@dataclass
class Checkpoint:
    """The state of a run between two steps.

    Args:
        stage: Stage that is trained; the number of stages once all are done.
        step: Steps of it that are done.
        run_step: Steps of all stages that are done.
        learner: State dict of the learner: network and strategy.
        optimizer: State dict of the stage's optimiser; before its first step that of the stage
            before, where it goes on from there, else ``None``.
        evaluation: See `tltool.evaluation.base.Evaluation.state`.
        selection: See `tltool.run.selection.Selection`.
        fit_seconds: Time spent training so far.
        fit_cpu_seconds: Of all of the process's threads.
    """

    stage: int = 0
    step: int = 0
    run_step: int = 0
    learner: dict[str, Tensor] | None = None
    optimizer: dict[str, Any] | None = None
    evaluation: dict[str, Any] = field(default_factory=dict)
    selection: dict[str, Any] = field(default_factory=dict)
    fit_seconds: float = 0.0
    fit_cpu_seconds: float = 0.0

    def save(self, folder: RunFolder) -> None:
        """Writes it, atomically."""
        folder.write(LAST, lambda file: torch.save(asdict(self), file))


def load_checkpoint(run: Path) -> Checkpoint:
    """Returns the last checkpoint of a run; a fresh one where there is none yet.

    Raises:
        UserError: The file is damaged.
    """
    path = run / LAST
    if not path.is_file():
        return Checkpoint()
    try:
        return Checkpoint(**torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:  # a damaged file fails in as many ways as it has bytes
        raise UserError(
            f"{path} is damaged and cannot be resumed from; train again into another run_dir=FOLDER"
        ) from error


def save_selected(folder: RunFolder, learner: dict[str, Tensor]) -> None:
    """Keeps the weights of the selected epoch."""
    folder.write(SELECTED, lambda file: torch.save(learner, file))


def load_selected(folder: RunFolder) -> dict[str, Tensor]:
    """Returns the weights of the selected epoch."""
    state: dict[str, Tensor] = torch.load(
        folder.path / SELECTED, map_location="cpu", weights_only=True
    )
    return state
