"""Logistic regression on features: what validators and the distance of domains are made of."""

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST_ITERATIONS = 100  # sklearn's default; one that has not converged by then is good enough here


def logistic_regression(x: NDArray[np.floating], y: NDArray[np.integer]) -> Any:
    """Returns a fitted logistic regression (sklearn's) on standardised features.

    Args:
        x: ``(N, D)``.
        y: Classes ``(N,)``, two or more.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=MOST_ITERATIONS))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(x, y)


def a_distance(source: NDArray[np.floating], target: NDArray[np.floating]) -> float:
    """Returns the proxy A-distance of two sets of features: ``2 (1 - 2 e)``, at least 0.

    e is the error of a logistic regression that tells the two apart, on the half of each that it
    was not fitted to, mean of the two domains. 0: it cannot; 2: it never errs.

    Args:
        source: ``(S, D)``, in random order.
        target: ``(T, D)``, in random order.

    References:
        [0] Ben-David et al., Analysis of representations for domain adaptation, NIPS 2006, section
            4; there with a linear classifier for the Huber loss.
    """
    parts = [(one[: len(one) // 2], one[len(one) // 2 :]) for one in (source, target)]
    x = np.concatenate([fit for fit, _ in parts])
    model = logistic_regression(x, np.repeat([0, 1], [len(fit) for fit, _ in parts]))
    errors = [(model.predict(rest) != i).mean() for i, (_, rest) in enumerate(parts)]
    return float(max(0.0, 2.0 * (1.0 - 2.0 * np.mean(errors))))
