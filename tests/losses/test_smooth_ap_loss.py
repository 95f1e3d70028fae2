"""Smooth-AP on rankings that one can read, and what it costs."""

import resource

import numpy as np
import pytest

from tensorflow_similarity import losses
from tests.gradients import BACKEND, evaluate, to_numpy, value_and_grad

pytestmark = pytest.mark.backend_smoke

# On a line, seen from 0: positives at 1, 3 and 6, negatives at 2, 4 and 5.
LINE = np.array([[0.0], [1.0], [-3.0], [6.0], [2.0], [-4.0], [5.0]], "float32")
LABELS = np.array([0, 0, 0, 0, 1, 2, 3])


@pytest.mark.parametrize(
    ("max_positives", "expected"),
    [
        (32, 1 - (1 / 1 + 2 / 3 + 3 / 6) / 3),
        (2, 1 - (2 / 3 + 3 / 6) / 2),
        (1, 1 - 3 / 6),
    ],
)
def test_is_one_minus_average_precision_of_the_farthest(max_positives, expected):
    loss = losses.SmoothAPLoss(1e-3, max_positives, "euclidean", reduction=None)
    values = evaluate(lambda t: loss(LABELS, t), LINE)
    np.testing.assert_allclose(values[0], expected, rtol=1e-6)
    assert not values[4:].any()  # no positive


def test_the_query_itself_is_not_counted():
    # A perfect ranking has precision 1, with the query at rank 0 and not 1.
    loss = losses.SmoothAPLoss(distance="euclidean")
    x = np.array([[0.0], [1.0], [50.0], [52.0]], "float32")
    value, (gradient,) = value_and_grad(lambda t: loss([0, 0, 1, 1], t), x)
    assert value < 1e-15 and np.abs(gradient).max() < 1e-15


def test_far_pairs_do_not_overflow():
    loss = losses.SmoothAPLoss(temperature=1e-6, distance="squared_euclidean")
    x = 1e5 * LINE
    value, (gradient,) = value_and_grad(lambda t: loss(LABELS, t), x)
    assert 0 < value < 1 and np.isfinite(gradient).all()


RANKED = ["SmoothAPLoss", "ROADMAPLoss", "RecallAtKSurrogateLoss", "FastAPLoss"]


@pytest.mark.skipif(BACKEND == "torch", reason="ten seconds, step by step")
@pytest.mark.parametrize("name", RANKED)
def test_no_rank_surrogate_makes_the_cube(name):
    n = 1024  # (n, n) of float32 is 4 MB; with 7 positives or 10 bins 29 to 46 MB
    loss = getattr(losses, name)()
    x = np.random.default_rng(9).normal(size=(n, 16)).astype("float32")
    labels = np.arange(n) // 8
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    value, (gradient,) = value_and_grad(lambda t: loss(labels, t), x)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 150_000  # KiB
    assert 0 < value and gradient.any() and np.isfinite(gradient).all()


def test_config_has_every_argument():
    loss = losses.SmoothAPLoss(0.1, 4, "euclidean")
    config = loss.get_config()
    assert (config["temperature"], config["max_positives"]) == (0.1, 4)
    assert to_numpy(loss(LABELS, LINE)) > 0
