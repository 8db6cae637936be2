"""Whether a network has put the target into a few classes."""

import numpy as np
from numpy.typing import NDArray

# Of as many classes as the source has; half of them are rarely missing in a healthy adaptation, and
# a collapsed one keeps two or three of ten.
PART = 0.5


def effective_classes(counts: NDArray[np.integer]) -> float:
    """Returns ``exp(H(counts / sum))``, in [1, C]: how many classes, if all were equally frequent.

    Args:
        counts: Of each class ``(C,)``, not all 0.
    """
    p = counts[counts > 0] / counts.sum()
    return float(np.exp(-(p * np.log(p)).sum()))


def collapsed(predicted: NDArray[np.integer], labels: NDArray[np.integer]) -> bool:
    """Whether the target is predicted to have no more than half of the classes of the source.

    Both are `effective_classes`. The source's is that of its labels, so that rare classes are not
    expected to be frequent.

    Args:
        predicted: Counts of the classes predicted on the target ``(C,)``.
        labels: Counts of the source's labels ``(C,)``.
    """
    limit = PART * effective_classes(labels)
    # Of two classes, one is half: that all but a few are in one class must do.
    return effective_classes(predicted) <= max(limit, 1.05)
