"""The circle loss by hand."""

import numpy as np
import pytest

from tensorflow_similarity.losses import CircleLoss
from tests.gradients import to_numpy, value_and_grad

pytestmark = pytest.mark.backend_smoke

ROWS = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]], "float32")
LABELS = np.array([0, 0, 1])


def test_is_one_logarithm_of_a_product():
    # Row 0: s_p = 0 and s_n = -1. With margin 0.5: a_p = 1.5, a_n = 0 (relu of -0.5).
    # Row 1: s_p = 0 and s_n = 0, a_n = 0.5.
    each = to_numpy(CircleLoss(gamma=2.0, margin=0.5, reduction=None)(LABELS, ROWS))
    pull = 2.0 * 1.5 * 0.5
    expected = [pull, pull + 2.0 * 0.5 * -0.5]
    np.testing.assert_allclose(each, [*np.log1p(np.exp(expected)), 0.0], rtol=1e-6)


def test_no_gradient_flows_through_the_weights():
    # Row 0's only gradient by s_p is -gamma * a_p * sigmoid, without that of a_p.
    x = np.array([0.0, 1.0, -0.5], "float32")[:, None]
    loss = CircleLoss("euclidean", gamma=1.0, margin=0.25, reduction="sum")
    weights = np.array([1.0, 0.0, 0.0])
    _, (gradient,) = value_and_grad(lambda t: loss(LABELS, t, weights), x)
    a_p, a_n = 0.25 + 1.0, 1.25 - 0.5
    sigmoid = 1 / (1 + np.exp(-(a_p * (1.0 - 0.25) + a_n * (0.75 - 0.5))))
    np.testing.assert_allclose(gradient[1:, 0], [a_p * sigmoid, a_n * sigmoid], 1e-5)


def test_defaults_are_the_predecessors():
    loss = CircleLoss()
    assert (loss.name, loss.gamma, loss.margin) == ("circle_loss", 80.0, 0.40)
    assert loss.distance.name == "cosine"


@pytest.mark.parametrize("gamma", [0.0, -1.0, float("nan")])
def test_gamma_of_zero_or_less_is_refused(gamma):
    with pytest.raises(ValueError, match="`gamma` must be above 0"):
        CircleLoss(gamma=gamma)


@pytest.mark.parametrize("margin", [-1.5, 1.5, float("nan")])
def test_margin_beyond_similarities_is_refused(margin):
    with pytest.raises(ValueError, match="`margin` must be a similarity from -1 to 1"):
        CircleLoss(margin=margin)
