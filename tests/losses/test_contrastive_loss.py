"""Margins and means of the contrastive losses."""

import numpy as np
import pytest

from tensorflow_similarity.losses import ContrastiveLoss, SNRContrastiveLoss
from tests.gradients import evaluate

pytestmark = pytest.mark.backend_smoke

# On a line: positives 2 apart, negatives 1, 3 (of 0 and 2) and so on.
LINE = np.array([[0.0], [2.0], [-1.0]], "float32")
LABELS = np.array([0, 0, 1])


def value_of(loss, labels=LABELS, rows=LINE):
    return evaluate(lambda x: loss(labels, x), rows)


def test_each_kind_of_pair_has_its_own_mean():
    # Ordered pairs: two positives at 2; negatives at 1, 3, 1, 3.
    loss = ContrastiveLoss("euclidean", pos_margin=0.5, neg_margin=2.0)
    np.testing.assert_allclose(value_of(loss), 1.5 + (1 + 0 + 1 + 0) / 4, rtol=1e-6)


def test_squared_takes_half_the_square_of_each_hinge():
    loss = ContrastiveLoss("euclidean", pos_margin=0.5, neg_margin=4.0, squared=True)
    expected = 1.5**2 / 2 + (3**2 + 1 + 3**2 + 1) / 2 / 4
    np.testing.assert_allclose(value_of(loss), expected, rtol=1e-6)


def test_anchors_share_the_sum_by_their_pairs():
    loss = ContrastiveLoss("euclidean", neg_margin=2.0, reduction=None)
    # Times 3 anchors: rows 0 and 1 have one of 2 positives, rows 0 and 2 the 1 of 4.
    expected = np.array([2 / 2 + 1 / 4, 2 / 2, 1 / 4]) * 3
    np.testing.assert_allclose(value_of(loss), expected, rtol=1e-6)


def test_a_miner_leaves_pairs_out_of_the_means():
    # Each anchor keeps its nearest negative: 1, 3 and 1 away.
    loss = ContrastiveLoss("euclidean", neg_margin=4.0, miner="batch_hard")
    np.testing.assert_allclose(value_of(loss), 2 + (3 + 1 + 3) / 3, rtol=1e-6)


def test_default_margin_is_euclidean_1_between_rows_of_length_1():
    rows = np.array([[1.0, 0.0], [0.5, 3**0.5 / 2]], "float32")
    just_there = value_of(ContrastiveLoss(), np.array([0, 1]), rows)
    np.testing.assert_allclose(just_there, 0.0, atol=1e-6)
    inside = value_of(ContrastiveLoss(), np.array([0, 1]), rows[:1].repeat(2, 0))
    np.testing.assert_allclose(inside, 0.5, rtol=1e-6)


def test_snr_regularizer_is_the_size_of_the_sum_of_each_row():
    rows = np.array([[1.0, -3.0], [4.0, 1.0]], "float32")
    values = [
        value_of(SNRContrastiveLoss(regularization_weight=w), LABELS[:2], rows)
        for w in (0.0, 0.1)
    ]
    np.testing.assert_allclose(values[1] - values[0], 0.1 * (2 + 5) / 2, rtol=1e-5)


def test_snr_distance_is_fixed():
    loss = SNRContrastiveLoss()
    assert loss.distance.name == "snr" and "distance" not in loss.get_config()
    with pytest.raises(TypeError, match="distance"):
        SNRContrastiveLoss(distance="cosine")


@pytest.mark.parametrize("loss", [ContrastiveLoss, SNRContrastiveLoss])
@pytest.mark.parametrize(
    ("argument", "value", "bound"),
    [
        ("pos_margin", -0.1, "at least 0"),
        ("pos_margin", float("nan"), "at least 0"),
        ("neg_margin", 0.0, "above 0"),
    ],
)
def test_margin_out_of_range_is_refused(loss, argument, value, bound):
    with pytest.raises(ValueError, match=rf"`{argument}` must be .*{bound}") as error:
        loss(**{argument: value})
    assert f"{argument}={value!r}" in str(error.value)


def test_negative_regularization_is_refused():
    with pytest.raises(ValueError, match=r"`regularization_weight` must be .*-1"):
        SNRContrastiveLoss(regularization_weight=-1)
