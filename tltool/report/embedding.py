"""Features brought down to two dimensions, for the eye only."""

import numpy as np
from numpy.typing import NDArray

TSNE_FROM = 50  # points; below that perplexity 30 has no meaning and PCA says as much
PERPLEXITY = 30.0  # sklearn's default
ITERATIONS = 500  # 250 of them exaggerated; sklearn's 1000 take two to three times as long
PCA_DIMS = 50  # van der Maaten & Hinton 2008, section 4: PCA to 30 dimensions; scanpy uses 50


def embed(features: NDArray[np.floating], seed: int) -> NDArray[np.float64]:
    """Maps features to the plane: t-SNE started from PCA, or PCA alone for few points.

    Takes about a second for 800 points of 256 dimensions and grows a little faster than
    linearly with the points: sample them first. The same input and seed give the same map.

    Args:
        features: (N, D), finite.
        seed: Seed of what is random in PCA and t-SNE.

    Returns:
        (N, 2), finite; all zeros when the features do not differ.

    Raises:
        ValueError: Features are not (N, D) or not finite.
    """
    if features.ndim != 2:
        raise ValueError(f"features must be (N, D), not {features.shape}")
    if not np.isfinite(features).all():
        bad = int((~np.isfinite(features)).any(axis=1).sum())
        raise ValueError(f"features hold NaN or infinite values in {bad} of {len(features)} rows")
    centred = features.astype(np.float64)
    if len(centred) and np.ptp(centred, axis=0).any():
        centred -= centred.mean(axis=0)
        centred /= np.abs(centred).max()  # features of any scale stay within float32 in t-SNE
        return _project(centred, seed)
    return np.zeros((len(features), 2))


def _project(features: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    points, dims = features.shape
    reduced = PCA(min(PCA_DIMS, points, dims), random_state=seed).fit_transform(features)
    if points < TSNE_FROM or dims <= 2:
        missing = max(0, 2 - reduced.shape[1])
        return np.pad(reduced[:, :2], ((0, 0), (0, missing)))
    tsne = TSNE(perplexity=PERPLEXITY, init="pca", max_iter=ITERATIONS, random_state=seed)
    return np.asarray(tsne.fit_transform(reduced), dtype=np.float64)
