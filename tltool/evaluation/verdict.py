"""Did transfer help, and how sure is that?"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2000


def paired_interval(
    ours: NDArray[np.bool_], control: NDArray[np.bool_], level: float = 0.95
) -> tuple[float, float]:
    """Bootstrap interval of the difference in accuracy on the same test examples.

    Examples are drawn with replacement, both models' answers together. The interval covers the
    choice of test examples, not the choice of the seed.

    Args:
        ours: Which examples the strategy got right ``(N,)``.
        control: Which ones the control got right ``(N,)``.
        level: Coverage, in (0, 1).

    Returns:
        Lower and upper end, in [-1, 1].
    """
    if ours.shape != control.shape:
        raise ValueError(f"not the same examples: {ours.shape} and {control.shape}")
    difference = ours.astype(np.int64) - control.astype(np.int64)
    n = len(difference)
    parts = [(difference == value).mean() for value in (-1, 0, 1)]
    # Drawing n examples is drawing how many of them gained, lost, or stayed.
    draws = np.random.default_rng(0).multinomial(n, parts, size=RESAMPLES)
    gains = (draws[:, 2] - draws[:, 0]) / n
    low, high = np.quantile(gains, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def verdict(
    name: str, metric: str, ours: NDArray[np.bool_], control: NDArray[np.bool_]
) -> dict[str, Any]:
    """Returns the gain over a control, its interval, and ``positive | none | negative``.

    Args:
        name: The control's.
        metric: What was compared.
        ours: See `paired_interval`.
        control: See `paired_interval`.
    """
    low, high = paired_interval(ours, control)
    word = "positive" if low > 0 else "negative" if high < 0 else "none"
    return {
        "control": name,
        "metric": metric,
        "gain": float(ours.mean() - control.mean()),
        "interval": [low, high],
        "verdict": word,
    }
