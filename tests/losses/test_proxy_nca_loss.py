"""ProxyNCA++ by hand."""

import math

import numpy as np
import pytest

from tensorflow_similarity.losses import NormalizedSoftmaxLoss, ProxyNCALoss
from tests.gradients import to_numpy
from tests.proxies import value_of

pytestmark = pytest.mark.backend_smoke

AXES = np.eye(2)


def test_softmax_of_squared_distances_with_the_own_class():
    # Squared distances 0 and 2.
    value = value_of(ProxyNCALoss(2, temperature=0.5), [0], [[3.0, 0.0]], AXES)
    np.testing.assert_allclose(value, math.log(1 + math.exp(-4)), rtol=1e-5)


def test_is_the_normalised_softmax_at_half_the_temperature():
    rows, labels = [[1.0, 0.2], [0.3, 2.0], [-1.0, 1.0]], [0, 1, 1]
    values = [
        value_of(loss, labels, rows, AXES)
        for loss in (ProxyNCALoss(2), NormalizedSoftmaxLoss(2, temperature=1 / 18))
    ]
    np.testing.assert_allclose(*values, rtol=1e-5)


def test_proxies_start_at_an_eighth():
    loss = ProxyNCALoss(500)
    loss.build(100)
    spread = to_numpy(loss.weight("proxies")).std()
    np.testing.assert_allclose(spread, 1 / 8, rtol=0.02)


def test_temperature_out_of_range():
    with pytest.raises(ValueError, match="`temperature` must be above 0. Received: t"):
        ProxyNCALoss(3, temperature=0)
