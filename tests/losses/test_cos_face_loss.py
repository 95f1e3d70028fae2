"""The margin on the cosine by hand."""

import math

import numpy as np
import pytest

from tensorflow_similarity.losses import ArcFaceLoss, CosFaceLoss
from tests.proxies import value_of

pytestmark = pytest.mark.backend_smoke

AXES = np.eye(2)


def test_own_class_is_handicapped():
    loss = CosFaceLoss(2, margin=0.25, scale=2.0)
    value = value_of(loss, [0], [[3.0, 0.0]], AXES)
    np.testing.assert_allclose(value, math.log(1 + math.exp(-1.5)), rtol=1e-5)


def test_auto_scale_is_that_of_adacos():
    given, auto = (
        value_of(CosFaceLoss(4, scale=s), [0, 2], [[1, 2], [3, 1]], np.eye(4)[:, :2])
        for s in (math.sqrt(2) * math.log(3), "auto")
    )
    np.testing.assert_allclose(auto, given, rtol=1e-6)
    assert CosFaceLoss(4, scale="auto").get_config()["scale"] == "auto"


@pytest.mark.parametrize("loss", [CosFaceLoss, ArcFaceLoss])
@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"margin": -0.1}, "`margin` must be from 0 to .* Received: margin=-0.1"),
        ({"margin": 3.5}, "`margin` must be from 0 to .* Received: margin=3.5"),
        ({"scale": 0}, "`scale` must be above 0. Received: scale=0"),
        ({"scale": "big"}, '`scale` must be a number above 0, or "auto"'),
        ({"scale": "auto", "num_classes": 2}, "needs 3 classes.*num_classes=2"),
    ],
)
def test_arguments_out_of_range(loss, kwargs, message):
    with pytest.raises(ValueError, match=message):
        loss(**{"num_classes": 5, **kwargs})
