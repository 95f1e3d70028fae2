"""ROADMAP's bound of average precision, and its contrastive half."""

import numpy as np
import pytest

from tensorflow_similarity.losses import ROADMAPLoss
from tests.gradients import evaluate, value_and_grad

pytestmark = pytest.mark.backend_smoke

# On a line, seen from 0: positives at 1, 3 and 6, negatives at 2, 4 and 5.
LINE = np.array([[0.0], [1.0], [-3.0], [6.0], [2.0], [-4.0], [5.0]], "float32")
LABELS = np.array([0, 0, 0, 0, 1, 2, 3])


def first(**kwargs):
    loss = ROADMAPLoss(distance="euclidean", reduction=None, **kwargs)
    return evaluate(lambda t: loss(LABELS, t), LINE)[0]


def test_far_negatives_count_by_how_far():
    def bound(gap):
        return 1.5 + 2.0 * (gap - 0.5)

    wrong = [0, bound(1), bound(4) + bound(2) + bound(1)]
    expected = np.mean([w / (r + w) for r, w in zip((1, 2, 3), wrong, strict=True)])
    actual = first(rho=2.0, delta=0.5, contrastive_weight=0.0)
    np.testing.assert_allclose(actual, expected, rtol=1e-6)


def test_is_an_upper_bound_of_one_minus_average_precision():
    average_precision = (1 / 1 + 2 / 3 + 3 / 6) / 3
    for rho, delta in ((100.0, 0.05), (0.0, 0.0), (0.0, 10.0)):
        loss = first(rho=rho, delta=delta, contrastive_weight=0.0)
        assert loss >= 1 - average_precision - 1e-6


def test_second_term_pulls_to_one_margin_and_pushes_to_the_other():
    # Similarities are 1 - d: positives 0, -2, -5 and negatives -1, -3, -4.
    whole = first(pos_margin=-1.0, neg_margin=-3.5, contrastive_weight=2.0)
    half = first(contrastive_weight=0.0)
    np.testing.assert_allclose(whole - half, 2 * (5 / 3 + (2.5 + 0.5) / 3), rtol=1e-5)


def test_negatives_far_too_near_still_have_a_gradient():
    # Smooth-AP has none here: the gap is 30 temperatures.
    x = np.array([[0.0], [0.5], [0.2]], "float32")
    loss = ROADMAPLoss(distance="euclidean", contrastive_weight=0.0, temperature=0.01)
    _, (gradient,) = value_and_grad(lambda t: loss([0, 0, 1], t), x)
    assert np.abs(gradient).max() > 1e-2


@pytest.mark.parametrize("name", ["rho", "delta", "contrastive_weight"])
def test_what_is_below_nothing_is_refused(name):
    with pytest.raises(ValueError, match=f"must be at least 0. Received.*{name}=-0.1"):
        ROADMAPLoss(**{name: -0.1})
