import numpy as np
import pytest

from tltool.report.embedding import embed


def clusters(points: int = 90, dims: int = 60) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    labels = np.arange(points) % 3
    return 10 * np.eye(3, dims)[labels] + rng.normal(size=(points, dims)), labels


def test_same_seed_same_map_and_the_input_stays() -> None:
    features, _ = clusters()
    before = features.copy()
    first = embed(features, seed=1)
    np.testing.assert_array_equal(first, embed(features, seed=1))
    np.testing.assert_array_equal(features, before)


def test_clusters_stay_together() -> None:
    features, labels = clusters()
    points = embed(features, seed=0)
    distance = np.linalg.norm(points[:, None] - points[None], axis=-1)
    np.fill_diagonal(distance, np.inf)
    assert (labels[distance.argmin(axis=1)] == labels).all()


def test_few_points_are_projected_by_pca() -> None:
    """A plane inside many dimensions keeps its distances, up to one scale."""
    rng = np.random.default_rng(0)
    plane = rng.normal(size=(20, 2))
    basis = np.linalg.qr(rng.normal(size=(8, 2)))[0]
    points = embed(plane @ basis.T + 100.0, seed=0)

    def between(values: np.ndarray) -> np.ndarray:
        return np.linalg.norm(values[:, None] - values[None], axis=-1)

    scale = between(points).max() / between(plane).max()
    np.testing.assert_allclose(between(points), scale * between(plane), atol=1e-6)


@pytest.mark.parametrize("shape", [(0, 8), (1, 8), (2, 8), (2, 1), (60, 1), (60, 2), (60, 3)])
@pytest.mark.parametrize("scale", [0.0, 1e-30, 1.0, 1e30])
def test_any_size_and_scale_gives_finite_points(shape: tuple[int, int], scale: float) -> None:
    features = scale * np.random.default_rng(0).normal(size=shape)
    points = embed(features.astype(np.float32), seed=0)
    assert points.shape == (shape[0], 2)
    assert np.isfinite(points).all()


def test_constant_and_repeated_features() -> None:
    assert (embed(np.full((70, 5), 3.0), seed=0) == 0).all()
    assert np.isfinite(embed(np.repeat(np.eye(4), 40, axis=0), seed=0)).all()


def test_unusable_features_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(N, D\), not \(3, 4, 5\)"):
        embed(np.zeros((3, 4, 5)), seed=0)
    features = np.zeros((9, 4))
    features[2] = np.nan
    with pytest.raises(ValueError, match="NaN or infinite values in 1 of 9 rows"):
        embed(features, seed=0)
