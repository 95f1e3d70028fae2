"""FastAP's histograms on distances that one can read."""

import numpy as np
import pytest

from tensorflow_similarity.losses import FastAPLoss
from tests.gradients import evaluate, value_and_grad

pytestmark = pytest.mark.backend_smoke

# On a line, seen from 0: positives at 1, 3 and 6, negatives at 2, 4 and 5.
LINE = np.array([[0.0], [1.0], [-3.0], [6.0], [2.0], [-4.0], [5.0]], "float32")
LABELS = np.array([0, 0, 0, 0, 1, 2, 3])


def first(rows=LINE, labels=LABELS, **kwargs):
    loss = FastAPLoss(distance="euclidean", reduction=None, **kwargs)
    return evaluate(lambda t: loss(labels, t), rows)[0]


def test_is_one_minus_average_precision_where_each_has_a_bin():
    expected = 1 - (1 / 1 + 2 / 3 + 3 / 6) / 3
    np.testing.assert_allclose(first(num_bins=8, max_distance=8.0), expected, rtol=1e-6)


def test_a_distance_between_two_centres_belongs_to_both():
    # Centres 0, 2, 4: the positive at 1 is half in 0 and half in 2, the negative in 2.
    rows = np.array([[0.0], [1.0], [2.0]], "float32")
    expected = 1 - (0.5 * 0.5 / 0.5 + 0.5 * 1.0 / 2.0)
    actual = first(rows, np.array([0, 0, 1]), num_bins=2, max_distance=4.0)
    np.testing.assert_allclose(actual, expected, rtol=1e-6)


def test_what_is_too_far_is_in_the_last_bin_without_a_gradient():
    rows = np.array([[0.0], [50.0], [90.0]], "float32")
    loss = FastAPLoss(distance="euclidean")
    value, (gradient,) = value_and_grad(lambda t: loss([0, 0, 1], t), rows)
    np.testing.assert_allclose(value, 0.5, rtol=1e-6)
    assert not gradient.any()


@pytest.mark.parametrize("num_bins", [0, 2.5, True, None])
def test_a_number_of_bins_that_is_none_is_refused(num_bins):
    with pytest.raises(ValueError, match="`num_bins` must be an integer.*Received"):
        FastAPLoss(num_bins=num_bins)


@pytest.mark.parametrize("max_distance", [0, -1.0, float("nan")])
def test_a_largest_distance_of_nothing_is_refused(max_distance):
    with pytest.raises(ValueError, match="`max_distance` must be above 0. Received"):
        FastAPLoss(max_distance=max_distance)
