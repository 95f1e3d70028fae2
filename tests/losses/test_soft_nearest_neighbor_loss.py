"""Soft nearest neighbours and neighbourhood components, by hand."""

import numpy as np
import pytest

from tensorflow_similarity.losses import NCALoss, SoftNearestNeighborLoss
from tests.gradients import to_numpy, value_and_grad

pytestmark = pytest.mark.backend_smoke

LABELS = np.array([0, 0, 1])


def test_is_the_share_of_the_same_class():
    rows = np.array([[0.0], [1.0], [2.0]], "float32")
    each = to_numpy(
        SoftNearestNeighborLoss(temperature=2, reduction=None)(LABELS, rows)
    )
    e = np.exp
    expected = [-np.log(e(-0.5) / (e(-0.5) + e(-2.0))), np.log(2), 0.0]
    np.testing.assert_allclose(each, expected, rtol=1e-6)


def test_a_hopeless_anchor_has_a_large_loss_and_a_gradient():
    # exp(-10000) is 0: -log(0 + 1e-9) would be 20.7 with gradient 0.
    rows = np.array([[0.0], [100.0], [0.0]], "float32")
    loss = SoftNearestNeighborLoss(reduction="sum")
    weights = np.array([1.0, 0.0, 0.0])
    value, (gradient,) = value_and_grad(lambda t: loss(LABELS, t, weights), rows)
    np.testing.assert_allclose(value, 1e4)
    np.testing.assert_allclose(gradient[1], 200.0)


def test_nca_is_the_same_at_the_inverse_temperature():
    rows = np.random.default_rng(0).normal(size=(3, 2)).astype("float32")
    np.testing.assert_allclose(
        to_numpy(NCALoss(softmax_scale=4.0)(LABELS, rows)),
        to_numpy(SoftNearestNeighborLoss(temperature=0.25)(LABELS, rows)),
        rtol=1e-6,
    )


def test_names_and_alias():
    assert SoftNearestNeighborLoss("sql2").name == "soft_nn_loss"
    assert NCALoss().name == "nca_loss"
    assert NCALoss("sql2").distance == SoftNearestNeighborLoss().distance


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan")])
def test_temperature_and_scale_of_zero_or_less_are_refused(value):
    with pytest.raises(ValueError, match="`temperature` must be above 0"):
        SoftNearestNeighborLoss(temperature=value)
    with pytest.raises(ValueError, match="`softmax_scale` must be above 0"):
        NCALoss(softmax_scale=value)
