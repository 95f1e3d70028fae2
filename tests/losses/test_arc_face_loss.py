"""The margin on the angle by hand."""

import math

import numpy as np
import pytest

from tensorflow_similarity.losses import ArcFaceLoss
from tests.gradients import value_and_grad
from tests.proxies import value_of, with_proxies

pytestmark = pytest.mark.backend_smoke

AXES = np.eye(2)


def at(angle):
    """A row at this angle to the first axis."""
    return [[math.cos(angle), math.sin(angle)]]


# The second class is out of the plane, at the cosine 0 to every row.
APART = [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]


def value_at(angle, **kwargs):
    return value_of(ArcFaceLoss(2, **kwargs), [0], [[*at(angle)[0], 0.0]], APART)


@pytest.mark.parametrize("margin", [0.0, 0.5, 1.2])
@pytest.mark.parametrize("angle", [0.0, 0.3, 1.5, 1.9])
def test_margin_widens_the_angle(angle, margin):
    value = value_at(angle, margin=margin, scale=2.0)
    expected = math.log(1 + math.exp(-2 * math.cos(angle + margin)))
    np.testing.assert_allclose(value, expected, rtol=1e-5)


def test_beyond_pi_the_cosine_goes_on_falling():
    value = value_at(math.pi, margin=0.5, scale=2.0)
    target = 2 * (-1 - 0.5 * math.sin(0.5))
    np.testing.assert_allclose(value, math.log(1 + math.exp(-target)), rtol=1e-5)
    values = [value_at(a, margin=0.5, scale=2.0) for a in np.linspace(0, math.pi, 30)]
    assert (np.diff(values) > 0).all()


@pytest.mark.parametrize("row", [[2.0, 0.0], [-2.0, 0.0], [1.0, 1e-4], [-1.0, 1e-4]])
def test_gradient_is_finite_on_and_against_the_vector(row):
    loss = with_proxies(ArcFaceLoss(2), AXES)
    value, (gradient,) = value_and_grad(
        lambda x: loss(np.array([0]), x), np.array([row], "float32")
    )
    assert np.isfinite(value) and np.isfinite(gradient).all()
    # scale * (sin(margin) + cos(margin)) is the most that an angle can ask for.
    assert np.abs(gradient).max() < 2 * 64 * 1.5


def test_margin_in_degrees():
    values = [
        value_at(1.0, scale=3.0, **m)
        for m in ({"margin": math.pi / 6}, {"margin_degrees": 30.0})
    ]
    np.testing.assert_allclose(*values, rtol=1e-6)


@pytest.mark.parametrize(
    "kwargs", [{"margin": 28.6}, {"margin": -0.1}, {"margin_degrees": 180.0}]
)
def test_margin_out_of_range(kwargs):
    with pytest.raises(ValueError, match="radians.*Give degrees as `margin_degrees=`"):
        ArcFaceLoss(3, **kwargs)
