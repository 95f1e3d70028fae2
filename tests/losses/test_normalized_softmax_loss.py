"""Softmax of cosines by hand."""

import math

import numpy as np
import pytest

from tensorflow_similarity.losses import NormalizedSoftmaxLoss
from tests.gradients import value_and_grad
from tests.proxies import value_of, with_proxies

pytestmark = pytest.mark.backend_smoke

AXES = np.eye(2)


def test_softmax_of_cosines_over_the_temperature():
    # Cosines 1 and 0, whatever the lengths.
    value = value_of(
        NormalizedSoftmaxLoss(2, temperature=0.5), [0], [[3.0, 0.0]], [[5, 0], [0, 0.1]]
    )
    np.testing.assert_allclose(value, math.log(1 + math.exp(-2)), rtol=1e-5)


def test_zero_row_sees_all_classes_alike():
    loss = with_proxies(NormalizedSoftmaxLoss(3), [[1, 0], [0, 1], [1, 1]])
    value, (gradient,) = value_and_grad(
        lambda x: loss(np.array([1]), x), np.zeros((1, 2), "float32")
    )
    np.testing.assert_allclose(value, math.log(3), rtol=1e-5)
    assert not gradient.any()


def test_one_class_has_nothing_to_tell_apart():
    assert value_of(NormalizedSoftmaxLoss(1), [0], [[1.0, 2.0]], [[0.3, -1]]) == 0


@pytest.mark.parametrize("temperature", [0, -0.1, math.nan])
def test_temperature_out_of_range(temperature):
    with pytest.raises(ValueError, match="`temperature` must be above 0. Received: t"):
        NormalizedSoftmaxLoss(3, temperature=temperature)
