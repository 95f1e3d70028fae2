"""Which pairs the threshold-consistent margin loss counts."""

import numpy as np
import pytest

from tensorflow_similarity.losses import ThresholdConsistentMarginLoss
from tests.gradients import evaluate

pytestmark = pytest.mark.backend_smoke

# Cosines: 0.6 and 0 within class 0 and class 1; 0.8, 0, 0.96 and 0.8 between them.
ROWS = np.array([[1.0, 0.0], [0.6, 0.8], [0.8, 0.6], [0.0, 2.0]], "float32")


def value_of(loss, labels=(0, 0, 1, 1)):
    return evaluate(lambda x: loss(np.array(labels), x), ROWS)


def test_means_run_over_the_wrong_pairs_alone():
    # Positives 0.6 and 0.6, both short of 0.9; negatives 0.8, 0, 0.96, 0.8.
    expected = 0.3 + (0.3 + 0.46 + 0.3) / 3
    np.testing.assert_allclose(
        value_of(ThresholdConsistentMarginLoss()), expected, rtol=1e-5
    )


def test_each_kind_has_its_weight():
    loss = ThresholdConsistentMarginLoss(pos_weight=2.0, neg_weight=0.0)
    np.testing.assert_allclose(value_of(loss), 0.6, rtol=1e-5)


def test_nothing_wrong_is_no_loss():
    # Rows 0 to 2 have cosines 0.6, 0.8 and 0.96.
    loss = ThresholdConsistentMarginLoss(pos_margin=0.5, neg_margin=0.5)
    assert value_of(loss, (0, 0, 0, -1)) == 0
    loss = ThresholdConsistentMarginLoss(pos_margin=0.99, neg_margin=0.98)
    assert value_of(loss, (0, 1, 2, 3)) == 0


def test_margins_out_of_order_are_refused():
    with pytest.raises(ValueError, match=r"`neg_margin` must not.*pos_margin=0\.1"):
        ThresholdConsistentMarginLoss(pos_margin=0.1, neg_margin=0.2)


def test_negative_weight_is_refused():
    with pytest.raises(ValueError, match=r"`pos_weight` and .*neg_weight=-1"):
        ThresholdConsistentMarginLoss(neg_weight=-1)
