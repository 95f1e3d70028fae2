"""Which anchors count, and which losses can be asked."""

import numpy as np
import pytest

from tensorflow_similarity.losses import (
    ArcFaceLoss,
    ContrastiveLoss,
    MultiSimilarityLoss,
    TripletLoss,
)
from tensorflow_similarity.training_metrics import ActiveFraction

pytestmark = pytest.mark.backend_smoke

LABELS = np.array([0, 0, 1, 1, 2])


def measured(loss, rows, labels=LABELS, **kwargs):
    metric = ActiveFraction(loss, **kwargs)
    metric.update_state(labels, np.array(rows, "float32"))
    return float(metric.result())


def test_singletons_and_unknown_rows_leave_the_fraction_of_a_triplet_loss():
    loss = TripletLoss("euclidean", negative_mining_strategy="hard", margin=1.0)
    rows = [[0.0], [1.0], [2.5], [7.0], [9.0]]
    # Row 0: 1 against 2.5. Row 1: 1 against 1.5, 0.5 over. Row 2: 4.5 against 1.5.
    # Row 3: 4.5 against 2. Row 4 is alone.
    assert measured(loss, rows) == 0.75
    # Without class 2 row 3 has its negative at 6, within the margin no more.
    assert measured(loss, rows, np.array([0, 0, 1, 1, -1])) == 0.5


@pytest.mark.parametrize(
    "loss", [MultiSimilarityLoss(), TripletLoss(margin=0.1, miner="semi-hard")]
)
def test_anchors_that_mining_left_without_pairs_have_nothing_to_learn(loss):
    # Classes at right angles: no pair is hard.
    rows = np.eye(3)[LABELS]
    assert measured(loss, rows) == 0.0
    assert measured(loss, np.ones((5, 3)) + 0.01 * np.eye(5, 3)) > 0.0


def test_soft_margins_need_a_threshold():
    rows = 10.0 * np.eye(3)[LABELS]
    assert measured(TripletLoss("euclidean"), rows) == 1.0
    assert measured(TripletLoss("euclidean"), rows, threshold=0.01) == 0.0


def test_the_loss_comes_back_from_its_config():
    metric = ActiveFraction(ContrastiveLoss("euclidean", neg_margin=0.3))
    again = ActiveFraction.from_config(metric.get_config())
    assert again.loss.get_config() == metric.loss.get_config()


def test_other_losses_are_refused():
    with pytest.raises(TypeError, match="must be a `MetricLoss`"):
        ActiveFraction("mse")
    with pytest.raises(ValueError, match="weights of its own"):
        ActiveFraction(ArcFaceLoss(3))
    with pytest.raises(ValueError, match="one loss an anchor"):
        ActiveFraction(TripletLoss() + ContrastiveLoss())
    with pytest.raises(ValueError, match="`threshold` must be"):
        ActiveFraction(TripletLoss(), threshold=-1.0)
