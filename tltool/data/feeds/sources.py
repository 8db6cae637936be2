"""As many labelled examples of every source: ``{x, y, index, domain}``."""

from tltool.data.feeds.plain import Plain
from tltool.data.table import Table
from tltool.errors import UserError

ONE_SOURCE = (
    "this strategy learns from what sets several sources apart, and the dataset has one: "
    "type dataset.source=[A,B]"
)


class Sources(Plain):
    """Batches ``{x, y, index, domain}`` with ``batch_size`` training examples of each source.

    They stand one source after the other; ``domain`` is the number of each example's. It is what
    `Plain` gives in batches that are as many times larger as there are sources.

    Args:
        table: See `Feed`.
        batch_size: Of each source, over all devices.
        seed: See `Feed`.
        rank: See `Feed`.
        world: See `Feed`.

    Raises:
        UserError: The dataset has a single source, or one without labelled training examples.
    """

    def __init__(
        self, table: Table, batch_size: int, seed: int, rank: int = 0, world: int = 1
    ) -> None:
        names = table.sources
        if len(names) < 2:
            raise UserError(ONE_SOURCE)
        found = table.by_source(table.labelled("source", "train"))
        if empty := [name for name in names if name not in found]:
            raise UserError(
                f"no training example of {', '.join(empty)} has a label: leave it out of "
                "dataset.source, or give it some"
            )
        super().__init__(table, batch_size * len(names), seed, rank, world)
