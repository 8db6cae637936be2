"""Parts a table into contexts, for learning one after the other."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import torch

from tltool.data.table import Contexts, Table
from tltool.errors import UserError

Scenario = Literal["task", "domain", "class"]
NAMED = 3  # classes of a context that fit into its name


def in_contexts(table: Table, number: int, scenario: Scenario, seed: int) -> Table:
    """Returns the table parted into contexts of equally many classes, drawn by the seed.

    Args:
        table: Examples of C classes.
        number: Of contexts, T.
        scenario: ``task``: C outputs, of which those of the context are possible. ``class``: all
            C outputs are. ``domain``: C/T outputs, the place of a class within its context.
        seed: The order of the classes is drawn anew for each.

    References:
        [0] van de Ven, Tuytelaars & Tolias, Three types of incremental learning, Nature Machine
            Intelligence 2022.

    Raises:
        UserError: The classes cannot be shared equally.
    """
    total = len(table.class_names)
    if not 2 <= number <= total or total % number or (scenario == "domain" and number == total):
        fit = [
            n for n in range(2, total + 1) if total % n == 0 and (scenario, n) != ("domain", total)
        ]
        raise UserError(
            f"dataset.contexts={number}: {total} classes are shared equally by "
            f"{' or '.join(map(str, fit)) or 'no number of'} contexts"
        )
    size = total // number
    order = np.random.default_rng(seed).permutation(total)
    place = torch.from_numpy(np.argsort(order))  # of each class in that order
    labelled = (table.y >= 0) & (table.y < total)
    at = place[table.y.clamp(0, total - 1)]
    of = torch.where(labelled, at // size, -1)
    contexts = [sorted(order[i * size : (i + 1) * size]) for i in range(number)]
    called = tuple(_name(i, [table.class_names[c] for c in own]) for i, own in enumerate(contexts))
    if scenario == "domain":
        names = tuple(f"class {i + 1} of a context" for i in range(size))
        classes = torch.ones(number, size, dtype=torch.bool)
        y = torch.where(labelled, at % size, -1)
        parted = Contexts(of, classes, scenario, called)
        return replace(table, y=y, class_names=names, contexts=parted)
    classes = torch.ones(number, total, dtype=torch.bool)
    if scenario == "task":
        classes = place.unsqueeze(0) // size == torch.arange(number).unsqueeze(1)
    return replace(table, contexts=Contexts(of, classes, scenario, called))


def _name(context: int, classes: Sequence[str]) -> str:
    more = ", …" if len(classes) > NAMED else ""
    return f"{context + 1}: {', '.join(classes[:NAMED])}{more}"
