"""The N-pair loss by hand."""

import numpy as np
import pytest

from tensorflow_similarity.losses import NPairsLoss
from tests.gradients import to_numpy

pytestmark = pytest.mark.backend_smoke


def test_compares_each_positive_with_all_negatives_and_penalises_length():
    rows = np.array([[2.0, 0.0], [1.0, 1.0], [3.0, 0.0], [0.5, -1.0]], "float32")
    each = to_numpy(
        NPairsLoss(l2_weight=0.1, reduction=None)(np.array([0, 0, 0, 1]), rows)
    )
    # Row 0: positives at 2 and 6, the negative at 1, length 4.
    terms = np.log1p(np.exp(1.0 - np.array([2.0, 6.0])))
    np.testing.assert_allclose(each[0], terms.mean() + 0.1 * 4.0, rtol=1e-6)
    assert each[3] == 0.0


def test_defaults_are_the_papers():
    loss = NPairsLoss()
    assert (loss.l2_weight, loss.distance.name) == (0.002, "inner_product")


@pytest.mark.parametrize("value", [-0.1, float("nan")])
def test_negative_l2_weight_is_refused(value):
    with pytest.raises(ValueError, match="`l2_weight` must be at least 0"):
        NPairsLoss(l2_weight=value)
