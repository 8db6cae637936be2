"""What each validator would have chosen among several runs, for the terminal."""

from collections.abc import Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from tltool.report.tables import Plainable
from tltool.report.wording import NO_VALUE, percent
from tltool.run.compare import Choice
from tltool.run.selection import ORACLE

COLUMNS = ("runs", "target accuracy", "cost", "chooses", "epoch", "target accuracy", "cost")


def choices_table(choices: Sequence[Choice]) -> RenderableType:
    """Builds one line a rule: within each run (means), then among all; the oracle is left out."""
    table = Table("validator")
    for name in COLUMNS:
        table.add_column(name, justify="left" if name == "chooses" else "right", overflow="fold")
    for one in choices:
        if one.rule == ORACLE:
            continue
        among = [NO_VALUE] * 4
        if one.run is not None and one.accuracy is not None and one.cost is not None:
            among = [one.run, str(one.epoch), percent(one.accuracy), _points(one.cost)]
        within = [str(one.runs), percent(one.within), _points(one.within_cost)]
        table.add_row(*map(Text, (one.rule, *within, *among)))
    return Plainable(table)


def oracle_note(choices: Sequence[Choice]) -> str:
    """Says what the target's test labels would have chosen, and what the columns mean."""
    lines = [
        "first three columns: the epoch chosen in each run, means over the runs; the others: the "
        "one epoch of all runs that scores best; cost: points below the oracle's choice"
    ]
    for one in choices:
        if one.rule == ORACLE and one.accuracy is not None:
            lines.append(
                f"oracle: {one.run}, epoch {one.epoch}, {percent(one.accuracy)}, chosen by the "
                "target's test labels, which nobody has; for study only"
            )
    return "\n".join(lines)


def _points(cost: float) -> str:
    return f"{100 * cost:.1f}"
