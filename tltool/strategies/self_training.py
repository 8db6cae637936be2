"""How learning from one's own predictions goes wrong unnoticed."""

import math
from collections.abc import Mapping, Sequence

WINDOW = 20  # rows of the log that must agree
FEW = 0.01  # part of the target that is kept; below it there is next to nothing to learn from
COLLAPSED = 0.5  # of log C: 3 of 10 classes predicted equally often have a marginal entropy of .48


def recent(history: Sequence[Mapping[str, float]], key: str) -> list[float]:
    """Returns the last values of a logged figure; none before there are enough of them."""
    found = [row[key] for row in history if key in row][-WINDOW:]
    return found if len(found) == WINDOW else []


def warn_nothing_kept(history: Sequence[Mapping[str, float]]) -> list[str]:
    """Warns when the confidence threshold leaves nothing to learn from; needs ``kept``."""
    kept = recent(history, "train/kept")
    if not kept or max(kept) > FEW:
        return []
    return [
        f"{max(kept):.1%} of the target is predicted with enough confidence to learn from: it "
        "trains on the source alone, try a smaller strategy.threshold"
    ]


def warn_collapse(history: Sequence[Mapping[str, float]], num_classes: int) -> list[str]:
    """Warns when few classes are predicted at all; needs ``marginal_entropy`` in nats."""
    entropy = recent(history, "train/marginal_entropy")
    if not entropy or max(entropy) > COLLAPSED * math.log(num_classes):
        return []
    return [
        f"few classes are predicted: the entropy of their frequencies sits at {entropy[-1]:.2f} "
        f"where {math.log(num_classes):.2f} is even; try a smaller optimizer.lr"
    ]
