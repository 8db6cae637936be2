import numpy as np

from tltool.report.history import series


def test_series_leaves_out_what_is_not_finite() -> None:
    history = [{"step": 0.0, "a": 1.0}, {"step": 1.0, "a": float("nan")}, {"step": 2.0}]
    steps, values = series(history, "a")
    assert steps.tolist() == [0.0] and values.tolist() == [1.0]


def test_long_series_are_averaged_over_neighbours() -> None:
    history = [{"step": float(i), "a": float(i % 2)} for i in range(1000)]
    steps, values = series(history, "a", points=100)
    np.testing.assert_allclose(steps, 4.5 + 10 * np.arange(100))
    np.testing.assert_allclose(values, 0.5)
