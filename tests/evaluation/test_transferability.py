import numpy as np
import pytest

from tltool.evaluation.transferability import h_score, knn_correct, leep, log_me, nce

RNG = np.random.default_rng(0)
LABELS = np.repeat([0, 1, 2], 20)
NOISE = RNG.normal(size=(60, 8))
SHUFFLED = RNG.permutation(LABELS)


def features(distance: float) -> np.ndarray:
    """Three clouds, so far apart."""
    return NOISE + distance * np.eye(8)[LABELS]


def answers(sharpness: float) -> np.ndarray:
    """Probabilities of 4 old classes that go with the new ones, the more so the sharper."""
    logits = NOISE[:, :4] + sharpness * np.eye(4)[LABELS]
    p = np.exp(logits)
    return p / p.sum(axis=1, keepdims=True)


SCORES = {
    "knn": lambda x, y: knn_correct(x, y).mean(),
    "log_me": log_me,
    "h_score": h_score,
}
OLD_SCORES = {"leep": leep, "nce": lambda p, y: nce(p.argmax(axis=1), y)}


@pytest.mark.parametrize("name", SCORES)
def test_features_that_part_the_classes_score_higher(name):
    score = SCORES[name]
    far, near, none = (score(features(distance), LABELS) for distance in (8.0, 2.0, 0.0))
    assert far > near > none
    assert near > score(features(2.0), SHUFFLED)


@pytest.mark.parametrize("name", OLD_SCORES)
def test_old_classes_that_go_with_the_new_ones_score_higher(name):
    score = OLD_SCORES[name]
    sharp, dull = (score(answers(sharpness), LABELS) for sharpness in (9.0, 1.0))
    assert 0 >= sharp > dull > score(answers(9.0), SHUFFLED)


@pytest.mark.parametrize("name", SCORES)
def test_unit_axes_names_of_classes_and_order_do_not_matter(name):
    score, x = SCORES[name], features(2.0)
    expected = score(x, LABELS)
    turn = np.linalg.qr(RNG.normal(size=(8, 8)))[0]
    order = RNG.permutation(60)
    for same in (
        score(1e-3 * x, LABELS),
        score(1e3 * x @ turn, LABELS),
        score(x, 7 - 3 * LABELS),
        score(x[order], LABELS[order]),
        score(x.astype(np.float32), LABELS),
    ):
        assert same == pytest.approx(expected, rel=1e-4)


# Neighbours


def test_neighbours_by_hand():
    angles = np.deg2rad([0, 10, 20, 90, 100, 35])
    x = np.stack([np.cos(angles), np.sin(angles)], axis=1) * np.arange(1, 7)[:, None]
    right = knn_correct(x, np.array([0, 0, 0, 1, 1, 1]), k=1)
    assert right.tolist() == [True, True, True, True, True, False]


def test_k_is_what_the_smallest_class_can_give():
    x = np.array([[1, 0], [1, 0.01], [0, 1], [0.01, 1], [0.02, 1]])
    assert knn_correct(x, np.array([0, 0, 1, 1, 1]), k=5).all()
    alone = knn_correct(x, np.array([0, 1, 1, 1, 1]), k=5)
    assert not alone[0], "an example alone in its class has no neighbour to vote for it"


def test_a_tie_goes_to_the_nearer_votes():
    angles = np.deg2rad([0, 1, 2, 10, 11, 90, 91, 92])
    x = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    # Of the first one's neighbours, in order: 0, 0, 1, 1.
    assert knn_correct(x, np.array([0, 0, 0, 1, 1, 1, 1, 0]), k=4)[0]


# LogME


def brute_evidence(x: np.ndarray, y: np.ndarray) -> float:
    """The maximum over a grid of alpha and beta of log N(y; 0, 1/beta I + 1/alpha F F')."""
    best = -np.inf
    for alpha in np.logspace(-2, 3, 61):
        for beta in np.logspace(-1, 4, 61):
            covariance = np.eye(len(y)) / beta + x @ x.T / alpha
            _, log_det = np.linalg.slogdet(2 * np.pi * covariance)
            best = max(best, -0.5 * (log_det + y @ np.linalg.solve(covariance, y)))
    return best / len(y)


@pytest.mark.parametrize("shape", [(12, 3), (5, 9)])
def test_log_me_is_the_maximum_of_the_evidence(shape):
    rng = np.random.default_rng(1)
    x = rng.normal(size=shape)
    y = (x[:, 0] + 0.3 * rng.normal(size=len(x)) > 0).astype(int)
    scaled = x / np.sqrt(np.mean(x**2))
    expected = np.mean([brute_evidence(scaled, (y == one).astype(float)) for one in (0, 1)])
    assert log_me(x, y) == pytest.approx(expected, abs=5e-3)


def test_log_me_pays_for_features_that_are_noise():
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(100, 2)), rng.integers(0, 2, 100)
    x[:, 0] += 4 * y
    noisy = np.hstack([x, rng.normal(size=(100, 60))])
    assert log_me(noisy, y) < log_me(x, y)


# H-score


def test_h_score_by_hand():
    # Of one feature nothing is shrunk. Class means ±2, variance within 1: 4 / (4 + 1).
    x = np.array([[-3.0], [-1.0], [1.0], [3.0]])
    assert h_score(x, np.array([0, 0, 1, 1])) == pytest.approx(0.8)
    assert h_score(x, np.array([0, 1, 1, 0])) == pytest.approx(0.0)


def test_h_score_is_at_most_one_less_than_the_classes():
    assert h_score(features(1000.0), LABELS) == pytest.approx(2.0, abs=0.05)


def test_with_more_features_than_examples_chance_does_not_look_like_a_fit():
    wide = np.random.default_rng(3).normal(size=(60, 200))  # the plain H-score is 2 for any labels
    assert h_score(wide, LABELS) < 0.2
    wide[:, :3] += 6 * np.eye(3)[LABELS]
    assert h_score(wide, LABELS) > 1.5 * h_score(wide, SHUFFLED)


def test_a_feature_that_never_changes_changes_no_h_score():
    x = features(2.0)
    dead = np.hstack([x[:, :1], np.full((60, 1), 3.0)])
    assert np.isfinite(h_score(dead, LABELS))


# Old classifiers


def test_leep_by_hand():
    p = np.array([[0.8, 0.2], [0.6, 0.4], [0.1, 0.9]])
    # P(y=0, z) = (1.4, 0.6) / 3, P(y=1, z) = (0.1, 0.9) / 3, P(z) = (1.5, 1.5) / 3
    given_0, given_1 = np.array([1.4 / 1.5, 0.6 / 1.5]), np.array([0.1 / 1.5, 0.9 / 1.5])
    expected = np.log([p[0] @ given_0, p[1] @ given_0, p[2] @ given_1]).mean()
    assert leep(p, np.array([0, 0, 1])) == pytest.approx(expected)


def test_nce_by_hand():
    # Old class 5 holds new classes 0, 0, 1, 1; old class 9 holds 0, 0: -(4/6) log 2
    old, new = np.array([5, 5, 5, 5, 9, 9]), np.array([0, 0, 1, 1, 0, 0])
    assert nce(old, new) == pytest.approx(-4 / 6 * np.log(2))


def test_leep_of_a_classifier_that_is_sure_is_nce():
    old = answers(1.0).argmax(axis=1)
    assert leep(np.eye(6)[old], LABELS) == pytest.approx(nce(old, LABELS))


def test_old_classes_that_know_the_new_ones_score_0_and_one_that_knows_nothing_the_entropy():
    assert nce(10 - LABELS, LABELS) == pytest.approx(0.0)
    assert leep(np.ones((60, 1)), LABELS) == pytest.approx(-np.log(3))


# Input that cannot be scored


@pytest.mark.parametrize("score", [knn_correct, log_me, h_score, leep])
@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (np.ones((4, 2)), np.zeros(3, int), r"\(4, 2\) and \(3,\)"),
        (np.ones(4), np.zeros(4, int), r"\(4,\) and \(4,\)"),
        (np.ones((4, 2)), np.zeros(4, int), "two classes"),
        (np.full((4, 2), np.nan), np.arange(4), "not finite"),
        (np.zeros((4, 2)), np.arange(4), "all values are 0"),
    ],
)
def test_bad_shapes_and_values(score, x, y, message):
    with pytest.raises(ValueError, match=message):
        score(x, y)


def test_bad_probabilities_and_bad_old_classes():
    with pytest.raises(ValueError, match="1 in sum"):
        leep(np.ones((4, 2)), np.arange(4))
    with pytest.raises(ValueError, match="1 in sum"):
        leep(np.array([[2.0, -1.0]] * 4), np.arange(4))
    with pytest.raises(ValueError, match=r"old must be \(N,\), got \(4, 1\)"):
        nce(np.zeros((4, 1), int), np.arange(4))
