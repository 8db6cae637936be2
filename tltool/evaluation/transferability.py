"""How well features suit labels, without training anything on them.

Every score is computed on training examples; higher is better. Scores of one dataset compare with
each other, scores of two datasets do not.
"""

import numpy as np
from numpy.typing import NDArray
from sklearn.covariance import ledoit_wolf
from sklearn.neighbors import NearestNeighbors

Floats = NDArray[np.floating]
Labels = NDArray[np.integer]

NEIGHBOURS = 5  # enough to outvote one odd neighbour, few enough for small classes
MAX_STEPS = 100  # of LogME's fixed point; the authors find that it takes two or three
TOLERANCE = 1e-3  # relative change of alpha / beta at which it has settled [1]
FLOOR = 1e-5  # added to what LogME divides by, for labels that are fitted exactly [1]


def knn_correct(features: Floats, labels: Labels, k: int = NEIGHBOURS) -> NDArray[np.bool_]:
    """Returns which examples their nearest neighbours classify rightly, each left out in turn.

    The ``k`` nearest by cosine vote, with ``k`` lowered to what the smallest class can give (its
    size less one, at least 1). A tie goes to the class whose votes are nearer.

    Args:
        features: ``(N, D)``.
        labels: ``(N,)``.
        k: Neighbours that vote, at least 1.

    Returns:
        ``(N,)``; its mean is the leave-one-out accuracy, in [0, 1].

    Raises:
        ValueError: Shapes that do not fit, one class, or values that are not finite.
    """
    features, classes, counts = _checked(features, labels)
    k = max(1, min(k, int(counts.min()) - 1))
    # Asked for no points in particular, scikit-learn leaves each one out of its own neighbours.
    search = NearestNeighbors(n_neighbors=k, metric="cosine", algorithm="brute").fit(features)
    nearest = search.kneighbors(return_distance=False)
    # A vote is worth 1 and a little less with each rank, so little that it only decides ties.
    worth = 1.0 - np.arange(k) / (k * k + 1.0)
    votes = np.zeros((len(features), len(counts)))
    np.add.at(votes, (np.arange(len(features))[:, None], classes[nearest]), worth)
    right: NDArray[np.bool_] = votes.argmax(axis=1) == classes
    return right


def log_me(features: Floats, labels: Labels) -> float:
    """Logarithm of maximum evidence: how probable the labels are under the best linear model.

    For the one-hot column ``y`` of each class, with the prior ``w ~ N(0, 1/alpha)`` and the noise
    ``y ~ N(Fw, 1/beta)``:  ``max over alpha, beta of log p(y | F) / N``; the mean over classes.
    No cross-validation is needed: the evidence pays for features that only fit noise.

    Args:
        features: ``(N, D)``; scaled as a whole to mean square 1, so that their unit is no matter.
        labels: ``(N,)``.

    Returns:
        Any real number: it is the logarithm of a density.

    Raises:
        ValueError: Shapes that do not fit, one class, or values that are not finite.

    References:
        [0] You et al., LogME: practical assessment of pre-trained models for transfer learning,
            2021; the fixed point of You et al., Ranking and tuning pre-trained models, 2022.
        [1] github.com/thuml/LogME. It leaves out the prior's term for directions that no example
            spans (D > N), and does not scale: scores here can differ from its own.
    """
    features, classes, counts = _checked(features, labels)
    features = features / np.sqrt(np.mean(features**2))
    left, singular, _ = np.linalg.svd(features, full_matrices=False)
    sigma = singular**2
    scores = []
    for one in range(len(counts)):
        y = (classes == one).astype(np.float64)
        scores.append(_evidence(sigma, (left.T @ y) ** 2, float(y @ y), features.shape))
    return float(np.mean(scores))


def _evidence(sigma: Floats, z2: Floats, y2: float, shape: tuple[int, ...]) -> float:
    """Returns the maximum log evidence of one column, over N.

    Args:
        sigma: Squared singular values ``(K,)`` of F, K = min(N, D).
        z2: Squared coordinates ``(K,)`` of y along the left singular vectors.
        y2: Squared norm of y.
        shape: N and D.
    """
    n, d = shape
    outside = max(y2 - float(z2.sum()), 0.0)  # the part of y that no weights reach
    ratio = 1.0  # alpha / beta
    for _ in range(MAX_STEPS):
        used = float((sigma / (sigma + ratio)).sum())  # effective number of weights
        weights2 = float((sigma * z2 / (sigma + ratio) ** 2).sum())
        residual2 = float((z2 * (ratio / (sigma + ratio)) ** 2).sum()) + outside
        alpha, beta = used / (weights2 + FLOOR), (n - used) / (residual2 + FLOOR)
        before, ratio = ratio, alpha / beta
        if abs(ratio - before) <= TOLERANCE * before:
            break
    fit = beta * residual2 + alpha * weights2
    spread = np.log(alpha + beta * sigma).sum() + (d - len(sigma)) * np.log(alpha)
    total = d * np.log(alpha) + n * np.log(beta) - spread - fit - n * np.log(2 * np.pi)
    return float(total / (2 * n))


def h_score(features: Floats, labels: Labels) -> float:
    """H-score with a shrunk covariance: variance between classes, in units of all variance.

    ``tr( S_a^-1 (1 - a) B )`` with B the covariance of the class means, and the Ledoit-Wolf
    estimate ``S_a = (1 - a) S + a tr(S)/D I`` of the features' covariance S. The plain H-score
    (``a = 0``) [0] is C - 1 for any labels once D reaches N. The shrunk one [1] is below, but not
    by much where few directions hold most of the variance: ``a`` is small there.

    Args:
        features: ``(N, D)``.
        labels: ``(N,)`` of C classes.

    Returns:
        In [0, C - 1].

    Raises:
        ValueError: Shapes that do not fit, one class, or values that are not finite.

    References:
        [0] Bao et al., An information-theoretic approach to transferability, 2019.
        [1] Ibrahim et al., Newer is not always better: rethinking transferability metrics, 2021.
            Both covariances are divided by N here, B by N - 1 there.
    """
    features, classes, counts = _checked(features, labels)
    centred = features - features.mean(axis=0)
    means = np.zeros((len(counts), features.shape[1]))
    np.add.at(means, classes, centred)
    means /= counts[:, None]
    covariance, shrinkage = ledoit_wolf(centred, assume_centered=True)
    variances, axes = np.linalg.eigh(covariance)
    spanned = variances > variances[-1] * len(variances) * np.finfo(np.float64).eps
    # tr(S^-1 B) along the axes of S; those without variance hold no class mean either.
    between = ((means @ axes[:, spanned]) ** 2 * counts[:, None] / len(features)).sum(axis=0)
    return float((1.0 - shrinkage) * (between / variances[spanned]).sum())


def leep(probabilities: Floats, labels: Labels) -> float:
    """Log expected empirical prediction: the old classifier's answers, translated to new labels.

    ``mean over i of log( sum over z of P(y_i | z) p_i(z) )`` with ``p_i(z)`` the old classifier's
    probability of its class z, and ``P(y, z) = mean over i of p_i(z) [y_i = y]``.

    Args:
        probabilities: ``(N, Z)``, each row sums to 1.
        labels: ``(N,)`` new labels.

    Returns:
        At most 0; 0 where each old class belongs to one new class.

    Raises:
        ValueError: Shapes that do not fit, one class, or rows that are no probabilities.

    References:
        [0] Nguyen et al., LEEP: a new measure to evaluate transferability of learned
            representations, 2020.
    """
    p, classes, counts = _checked(probabilities, labels)
    if (p < 0).any() or not np.allclose(p.sum(axis=1), 1.0, atol=1e-3):
        raise ValueError("probabilities must be at least 0, and 1 in sum along each row")
    joint = np.zeros((len(counts), p.shape[1]))
    np.add.at(joint, classes, p / len(p))
    total = joint.sum(axis=0)
    # An old class that is never predicted has no P(y | z), and no weight either.
    conditional = np.divide(joint, total, out=np.zeros_like(joint), where=total > 0)
    return float(np.log((conditional[classes] * p).sum(axis=1)).mean())


def nce(old: Labels, labels: Labels) -> float:
    """Negative conditional entropy ``-H(Y | Z)`` of new labels Y given old classes Z.

    With about as many old classes as examples it says little: an example alone in its old class
    counts as explained.

    Args:
        old: ``(N,)`` the old class of each example, here the one that the old classifier predicts.
        labels: ``(N,)`` new labels.

    Returns:
        At most 0, in nats; 0 where each old class belongs to one new class.

    Raises:
        ValueError: Shapes that do not fit, or one class.

    References:
        [0] Tran et al., Transferability and hardness of supervised classification tasks, 2019.
    """
    if old.ndim != 1:
        raise ValueError(f"old must be (N,), got {old.shape}")
    _, columns = np.unique(old, return_inverse=True)
    # A classifier that is sure of what it predicts: LEEP is then this entropy.
    return leep(np.eye(int(columns.max(initial=0)) + 1)[columns], labels)


def _checked(
    features: Floats, labels: Labels
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Returns features as float64, labels as 0 ... C - 1, and the size of each class."""
    if features.ndim != 2 or labels.shape != features.shape[:1]:
        raise ValueError(f"(N, D) and (N,) wanted, got {features.shape} and {labels.shape}")
    if not np.isfinite(features).all():
        raise ValueError("some values are not finite")
    if not features.any():
        raise ValueError("all values are 0")
    _, classes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    if len(counts) < 2:
        raise ValueError("at least two classes wanted")
    return features.astype(np.float64), classes, counts
