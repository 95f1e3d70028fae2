"""Which pairs the multi-similarity loss keeps, by hand."""

import numpy as np
import pytest

from tensorflow_similarity.losses import MultiSimilarityLoss
from tests.gradients import to_numpy

pytestmark = pytest.mark.backend_smoke


def test_keeps_the_pairs_that_are_hard_for_the_anchor():
    # From 0: positives at 1 and 4, negatives at 3 and 6. With epsilon 0.5 the positive
    # at 1 (not above 3 - 0.5) and the negative at 6 (not below 4 + 0.5) leave.
    rows = np.array([[0.0], [1.0], [4.0], [-3.0], [6.0]], "float32")
    loss = MultiSimilarityLoss(
        "euclidean",
        alpha=2.0,
        beta=3.0,
        epsilon=0.5,
        lmda=0.5,
        center=4.0,
        reduction=None,
    )
    value = to_numpy(loss(np.array([0, 0, 0, 1, 2]), rows))[0]
    expected = np.log1p(np.exp(2 * 0.5)) / 2 + np.log1p(np.exp(-3 * -0.5)) / 3
    np.testing.assert_allclose(value, expected, rtol=1e-5)


def test_anchor_with_only_easy_pairs_leaves_the_mean():
    # Anchors 0 and 1 keep each other and the row between; 3 and 4 are far from all.
    rows = np.array([[0.0], [2.0], [1.0], [100.0], [100.5]], "float32")
    labels = np.array([0, 0, 1, 2, 2])
    each = to_numpy(MultiSimilarityLoss("euclidean", reduction=None)(labels, rows))
    assert (each[:2] > 0).all() and not each[2:].any()
    mean = to_numpy(MultiSimilarityLoss("euclidean")(labels, rows))
    np.testing.assert_allclose(mean, each[:2].mean(), rtol=1e-6)


def test_steep_losses_do_not_overflow():
    rows = np.array([[0.0], [1e3], [1.0], [-1.0]], "float32")
    loss = MultiSimilarityLoss("euclidean", beta=1e3, reduction=None)
    values = to_numpy(loss(np.array([0, 0, 1, 1]), rows))
    assert np.isfinite(values).all()
    np.testing.assert_allclose(values[0], 999.5, rtol=1e-3)


def test_default_name():
    assert MultiSimilarityLoss().name == "multisim_loss"


@pytest.mark.parametrize("argument", ["alpha", "beta"])
@pytest.mark.parametrize("value", [0.0, -1.0, float("nan")])
def test_sharpness_of_zero_or_less_is_refused(argument, value):
    with pytest.raises(ValueError, match="`alpha` and `beta` must be above 0"):
        MultiSimilarityLoss(**{argument: value})
