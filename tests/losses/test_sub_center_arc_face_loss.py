"""Several vectors a class: the nearest counts."""

import math

import numpy as np
import pytest

from tensorflow_similarity.losses import ArcFaceLoss, SubCenterArcFaceLoss
from tests.gradients import value_and_grad
from tests.proxies import value_of, with_proxies

pytestmark = pytest.mark.backend_smoke

AXES = np.eye(2)

ROWS = [[1.0, 0.2], [0.3, 2.0], [-1.0, 1.0]]


def test_one_vector_a_class_is_arcface():
    values = [
        value_of(loss, [0, 1, 0], ROWS, AXES)
        for loss in (ArcFaceLoss(2), SubCenterArcFaceLoss(2, sub_centers=1))
    ]
    np.testing.assert_allclose(*values, rtol=1e-6)


def test_only_the_nearest_vector_of_each_class_counts():
    far = [[-1.0, -0.1], [-0.1, -1.0]]
    several = np.concatenate([AXES, far])
    rows = [[1.0, 0.2], [0.3, 2.0]]
    values = [
        value_of(ArcFaceLoss(2), [0, 1], rows, AXES),
        value_of(SubCenterArcFaceLoss(2, sub_centers=2), [0, 1], rows, several),
    ]
    np.testing.assert_allclose(*values, rtol=1e-6)


def test_first_vectors_of_all_classes_then_second_ones():
    loss = with_proxies(
        SubCenterArcFaceLoss(2, scale=2.0, margin=0.0, sub_centers=2),
        [[1, 0], [-1, 0], [0, 1], [0, -1]],
    )
    value, _ = value_and_grad(
        lambda x: loss(np.array([0]), x), np.array([[0.0, 1.0]], "float32")
    )
    np.testing.assert_allclose(value, math.log(1 + math.exp(-2)), rtol=1e-5)


@pytest.mark.parametrize("n", [0, 2.5, True])
def test_number_of_vectors_out_of_range(n):
    with pytest.raises(ValueError, match="`sub_centers` must be an integer of at lea"):
        SubCenterArcFaceLoss(3, sub_centers=n)
