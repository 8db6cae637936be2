"""How many labels there are to learn from: a number of each class (20) or a part of it (10%)."""

import re
import zlib

import numpy as np
import numpy.typing as npt

PER_CLASS = "labels_per_class"


def check_amount(amount: int | str, key: str = PER_CLASS) -> None:
    """Refuses what is neither a number of labels nor a part of them.

    Args:
        amount: At least 1, or a text such as ``10%``, above 0 and up to ``100%``.
        key: What was typed, for messages.

    Raises:
        ValueError: It is neither.
    """
    if isinstance(amount, int):
        wrong = amount < 1
    else:
        wrong = not re.fullmatch(r"\d+(\.\d+)?%", amount) or not 0 < float(amount[:-1]) <= 100
    if wrong:
        raise ValueError(
            f"{key}={amount}: a number from 1 on (20) or a part up to 100% (10%) wanted"
        )


def draw_labels(
    labels: npt.NDArray[np.int64],
    rows: npt.NDArray[np.int64],
    amount: int | str,
    seed: int,
    class_names: tuple[str, ...],
    key: str = PER_CLASS,
    whose: str = "the source",
) -> npt.NDArray[np.int64]:
    """Draws examples of each class; the fewer are always among the more of the same seed.

    Args:
        labels: (N,) of the whole table, -1 where unknown.
        rows: (M,) rows of the table, no row twice.
        amount: So many of each class; or such a part of each, rounded, at least one.
        seed: The same rows in any order and the same seed give the same draw.
        class_names: For messages.
        key: What was typed; draws of another key are independent.
        whose: What the rows are of, for messages.

    Returns:
        The rows kept, sorted. Rows without a label are no labels, and stay.

    Raises:
        ValueError: A class has fewer than that.
    """
    check_amount(amount, key)
    rows = np.sort(rows)
    rng = np.random.default_rng([seed, zlib.crc32(key.encode())])
    order = rng.permutation(rows[labels[rows] >= 0])
    kept = [rows[labels[rows] < 0]]
    few = []
    for label in np.unique(labels[order]):
        of_class = order[labels[order] == label]
        wanted = amount if isinstance(amount, int) else _part(amount, len(of_class))
        kept.append(of_class[:wanted])
        if wanted > len(of_class):
            few.append(f"{class_names[label]} has {len(of_class)}")
    if few:
        named = ", ".join(few[:5]) + (f" and {len(few) - 5} more have too few" if few[5:] else "")
        raise ValueError(f"{key}={amount}: of {whose}'s training examples {named}")
    return np.sort(np.concatenate(kept))


def _part(amount: str, count: int) -> int:
    return max(1, round(float(amount[:-1]) / 100 * count))
