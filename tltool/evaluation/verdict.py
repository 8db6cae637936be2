"""Did transfer help, and how sure is that?"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2000
Units = NDArray[np.float64] | NDArray[np.bool_]


def paired_interval(ours: Units, control: Units, level: float = 0.95) -> tuple[float, float]:
    """Bootstrap interval of the difference of two means over the same units.

    Units (test examples, episodes) are drawn with replacement, both models' scores together. The
    interval covers the choice of units, not the choice of the seed.

    Args:
        ours: What the strategy scored on each unit ``(N,)``; 0 or 1 where a unit is an example.
        control: What the control scored ``(N,)``.
        level: Coverage, in (0, 1).

    Returns:
        Lower and upper end.
    """
    if ours.shape != control.shape:
        raise ValueError(f"not the same units: {ours.shape} and {control.shape}")
    # Drawing N units is drawing how often each difference occurs: there are few different ones.
    values, counts = np.unique(ours.astype(float) - control, return_counts=True)
    n = len(ours)
    draws = np.random.default_rng(0).multinomial(n, counts / n, size=RESAMPLES)
    gains = draws @ values / n
    low, high = np.quantile(gains, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def verdict(name: str, metric: str, ours: Units, control: Units) -> dict[str, Any]:
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
