"""SoftTriple by hand."""

import math

import numpy as np
import pytest

from tensorflow_similarity.losses import CosFaceLoss, SoftTripleLoss
from tests.gradients import value_and_grad
from tests.proxies import value_of

pytestmark = pytest.mark.backend_smoke

AXES = np.eye(2)

ROWS = np.array([[1.0, 0.2], [0.3, 2.0], [-1.0, 1.0]], "float32")


def test_one_centre_a_class_is_cosface():
    values = [
        value_of(loss, [0, 1, 0], ROWS, AXES)
        for loss in (
            CosFaceLoss(2, margin=0.01, scale=20.0),
            SoftTripleLoss(2, centers_per_class=1),
        )
    ]
    np.testing.assert_allclose(*values, rtol=1e-5)


def test_similarity_is_a_softened_maximum():
    # Cosines to the own centres 1 and 0, to those of the other class -1 and 0.
    proxies = [[1, 0], [-1, 0], [0, 1], [0, -1]]
    loss = SoftTripleLoss(2, 2, scale=3.0, gamma=0.5, margin=0.1, tau=0.0)
    value = value_of(loss, [0], [[2.0, 0.0]], proxies)
    own = 1 / (1 + math.exp(-2))
    other = -1 / (1 + math.exp(2))
    expected = math.log(1 + math.exp(3 * (other - (own - 0.1))))
    np.testing.assert_allclose(value, expected, rtol=1e-5)


def test_centres_of_a_class_are_drawn_together():
    # One class: no cross entropy. Opposite centres are 2 apart, one pair of them.
    loss = SoftTripleLoss(1, 2, tau=0.3)
    value = value_of(loss, [0, 0], ROWS[:2], [[4, 0], [-1, 0]])
    np.testing.assert_allclose(value, 0.3 / (1 * 2 * 1) * 2, rtol=1e-5)


def test_coinciding_centres_have_a_finite_gradient(monkeypatch):
    loss = SoftTripleLoss(2, 3, tau=5.0)
    loss.build(2)

    def total(proxies):
        monkeypatch.setattr(loss, "weight", lambda name: proxies)
        return loss(np.array([0, 1, 0]), ROWS)

    for turned in (0.0, 1e-7, 1e-4):
        centers = np.repeat([[1, 0.3], [1, 0.3 + turned], [0.7, 0.21]], 2, axis=0)
        value, (gradient,) = value_and_grad(total, centers.astype("float32"))
        assert np.isfinite(value) and np.abs(gradient).max() < 100


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        (
            {"centers_per_class": 0},
            "`centers_per_class` must be an integer of at least",
        ),
        ({"scale": 0.0}, "`scale` must be above 0"),
        ({"gamma": -1.0}, "`gamma` must be above 0. Received: gamma=-1.0"),
        ({"margin": -0.1}, "`margin` must be from 0 to 2.*Received: margin=-0.1"),
        ({"tau": -0.1}, "`tau` at least 0.*tau=-0.1"),
    ],
)
def test_arguments_out_of_range(kwargs, message):
    with pytest.raises(ValueError, match=message):
        SoftTripleLoss(3, **kwargs)
