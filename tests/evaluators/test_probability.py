import numpy as np
import pytest

from tensorflow_similarity.evaluators import calibrate_distances, fit_probability


def drawn(n, seed):
    """Distances, whether right, and the true probability."""
    rng = np.random.default_rng(seed)
    distances = rng.random(n)
    truth = 1 / (1 + np.exp(12 * (distances - 0.5)))
    return distances, rng.random(n) < truth, truth


def test_isotonic_by_hand():
    # Pools the third and the fourth: a falling curve cannot rise again.
    curve = fit_probability([0.1, 0.2, 0.3, 0.4], [1, 1, 0, 1])
    assert curve([0.0, 0.2, 0.3, 0.4, 9.0]).tolist() == [1.0, 1.0, 0.5, 0.5, 0.5]
    assert curve([0.25]).tolist() == [0.75]


@pytest.mark.parametrize("method", ["isotonic", "platt"])
def test_curves_find_the_probability(method):
    distances, right, truth = drawn(20_000, seed=0)
    curve = fit_probability(distances, right, method)
    found = curve(distances.reshape(100, 200))
    assert found.shape == (100, 200) and (found >= 0).all() and (found <= 1).all()
    assert np.abs(found.ravel() - truth).mean() < 0.02
    assert (np.diff(curve(np.linspace(-1, 2, 50))) <= 0).all()
    assert curve(np.inf) == 0.0


def test_platt_agrees_with_descent_from_the_definition():
    distances, right, _ = drawn(60, seed=1)
    curve = fit_probability(distances, right, "platt")
    n = right.sum()
    sure = np.where(right, (n + 1) / (n + 2), 1 / (60 - n + 2))
    a = b = 0.0
    for _ in range(60_000):
        gap = 1 / (1 + np.exp(-(a * distances + b))) - sure
        a, b = a - 5 * (gap * distances).mean(), b - 5 * gap.mean()
    assert curve.parameters["slope"] == pytest.approx(a, rel=1e-2)
    assert curve.parameters["intercept"] == pytest.approx(b, rel=1e-2)


def test_queries_without_a_neighbour_are_left_out():
    distances, right, _ = drawn(100, seed=2)
    more = np.append(distances, np.inf), np.append(right, False)
    found = fit_probability(*more)(distances)
    assert found.tolist() == fit_probability(distances, right)(distances).tolist()


@pytest.mark.parametrize("method", ["isotonic", "platt"])
def test_a_calibration_knows_probabilities(method):
    distances, right, _ = drawn(300, seed=3)
    results = calibrate_distances(distances, right, probability=method)
    near, far = results.probability([0.05, 0.95])
    assert near > 0.9 and far < 0.1
    assert results.curve.method == method


@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        (lambda: fit_probability([0.1, 0.2], [1, 0], "x"), ValueError, "'isotonic', "),
        (lambda: fit_probability([0.1, 0.2], [1, 1]), ValueError, "2 right, 0 wrong"),
        (lambda: fit_probability([0.1, 0.2], [0, 0]), ValueError, "0 right, 2 wrong"),
        (lambda: fit_probability([0.1], [1, 0]), ValueError, "for each of n queries"),
        (
            lambda: fit_probability([0.1, 0.2], [1, 0])([np.nan]),
            ValueError,
            "must not be NaN",
        ),
        (
            lambda: calibrate_distances([0.1, 0.2], [1, 0]).probability([0.1]),
            RuntimeError,
            "probability='isotonic'",
        ),
    ],
)
def test_wrong_use_is_said(call, kind, words):
    with pytest.raises(kind, match=words):
        call()
