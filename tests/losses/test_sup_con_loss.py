"""Supervised contrastive loss by hand."""

import numpy as np
import pytest

from tensorflow_similarity.losses import SupConLoss
from tests.gradients import to_numpy

pytestmark = pytest.mark.backend_smoke


def test_the_mean_over_positives_is_outside_the_logarithm():
    rows = np.array([[0.0], [1.0], [3.0], [-2.0]], "float32")
    loss = SupConLoss("euclidean", temperature=2.0, reduction=None)
    each = to_numpy(loss(np.array([0, 0, 0, 1]), rows))
    below = np.log(np.exp([-0.5, -1.5, -1.0]).sum())
    np.testing.assert_allclose(each[0], below + (0.5 + 1.5) / 2, rtol=1e-6)
    assert each[3] == 0.0


def test_its_least_value_is_the_logarithm_of_the_number_of_positives():
    rows = np.array([[1.0, 0.0]] * 4 + [[-1.0, 0.0]] * 2, "float32")
    each = to_numpy(SupConLoss(reduction=None)(np.array([0] * 4 + [1] * 2), rows))
    np.testing.assert_allclose(each, [np.log(3)] * 4 + [0.0] * 2, atol=1e-6)


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan")])
def test_temperature_of_zero_or_less_is_refused(value):
    with pytest.raises(ValueError, match="`temperature` must be above 0"):
        SupConLoss(temperature=value)
