"""What was logged, row by row: metrics.csv, and W&B where it is asked for."""

import csv
import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tltool.errors import UserError
from tltool.run.folder import RunFolder

FILE = "metrics.csv"


class Loggers:
    """Where the rows go.

    Args:
        csv: Write metrics.csv into the run folder.
        wandb: Send them to Weights & Biases.
        project: W&B project.
        entity: W&B user or team.
        offline: W&B keeps the run on disk; `wandb sync` sends it later.
    """

    def __init__(
        self,
        csv: bool = True,
        wandb: bool = False,
        project: str = "tltool",
        entity: str | None = None,
        offline: bool = False,
    ) -> None:
        self.csv, self.wandb = csv, wandb
        self.project, self.entity, self.offline = project, entity, offline


class History:
    """The rows of one run, oldest first; every row has ``step`` and ``epoch``.

    Args:
        folder: The run folder.
        loggers: Where rows go besides memory.
        config: Shown by W&B.
        keep_steps: A resumed run keeps the rows up to this step.
    """

    def __init__(
        self, folder: RunFolder, loggers: Loggers, config: Mapping[str, Any], keep_steps: int
    ) -> None:
        self.folder, self.loggers = folder, loggers
        path = folder.path / FILE
        self.rows = [row for row in read_history(path) if row["step"] <= keep_steps]
        self._columns: list[str] = []
        self._wandb = _start_wandb(folder, loggers, config) if loggers.wandb else None
        if loggers.csv:
            self._rewrite()

    def log(self, row: Mapping[str, float]) -> None:
        """Adds a row."""
        self.rows.append(dict(row))
        if self.loggers.csv and set(row) <= set(self._columns):
            self.folder.append(FILE, self._lines([row]))
        elif self.loggers.csv:
            self._rewrite()
        if self._wandb is not None:
            self._wandb.log(dict(row), step=int(row["step"]))

    def finish(self, results: Mapping[str, Any], done: bool) -> None:
        """Closes W&B with the final figures."""
        if self._wandb is not None:
            self._wandb.summary.update(dict(results))
            self._wandb.finish(exit_code=0 if done else 1)

    def _rewrite(self) -> None:
        """Writes all rows again, since a new column came up."""
        self._columns = list(dict.fromkeys(key for row in self.rows for key in row))
        self.folder.write_text(FILE, self._lines(self.rows, header=True))

    def _lines(self, rows: Iterable[Mapping[str, float]], header: bool = False) -> str:
        text = io.StringIO()
        writer = csv.DictWriter(text, self._columns, lineterminator="\n")
        if header:
            writer.writeheader()
        writer.writerows(rows)
        return text.getvalue()


def _start_wandb(folder: RunFolder, loggers: Loggers, config: Mapping[str, Any]) -> Any:
    if not folder.writes:
        return None
    import wandb

    saved = folder.read_json("wandb.json").get("id")
    try:
        run = wandb.init(
            project=loggers.project,
            entity=loggers.entity,
            dir=folder.path,
            name=folder.path.name,
            id=saved,
            resume="allow" if saved else None,
            mode="offline" if loggers.offline else None,  # None: as WANDB_MODE says, or online
            config=dict(config),
            # What is printed is tltool's, and log.txt keeps it.
            settings=wandb.Settings(silent=True, console="off"),
        )
    except wandb.errors.Error as error:
        raise UserError(
            f"logger.wandb=true: {str(error).splitlines()[0]} "
            "(run `wandb login`, or type logger.offline=true)"
        ) from error
    folder.write_json("wandb.json", {"id": run.id})
    return run


def read_history(path: Path) -> list[dict[str, float]]:
    """Returns the rows of a metrics.csv, empty cells left out; none where there is no file.

    A last line that an interrupted write left unfinished is dropped.
    """
    if not path.is_file():
        return []
    text = path.read_text()
    lines = text[: text.rfind("\n") + 1].splitlines()
    rows = [{k: float(v) for k, v in row.items() if v} for row in csv.DictReader(lines)]
    return [row | {"step": int(row["step"]), "epoch": int(row["epoch"])} for row in rows]
