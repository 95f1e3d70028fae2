"""The recall@k surrogate on rankings that one can read."""

import numpy as np
import pytest

from tensorflow_similarity.losses import RecallAtKSurrogateLoss
from tests.gradients import evaluate

pytestmark = pytest.mark.backend_smoke

# On a line, seen from 0: positives at 1, 3 and 6, negatives at 2, 4 and 5.
LINE = np.array([[0.0], [1.0], [-3.0], [6.0], [2.0], [-4.0], [5.0]], "float32")
LABELS = np.array([0, 0, 0, 0, 1, 2, 3])


def first(**kwargs):
    """The value of the first anchor, whose positives have ranks 1, 3 and 6."""
    loss = RecallAtKSurrogateLoss(
        rank_temperature=1e-3, distance="euclidean", reduction=None, **kwargs
    )
    return evaluate(lambda t: loss(LABELS, t), LINE)[0]


@pytest.mark.parametrize(
    ("k", "recall"),
    [([2], 1 / 2), ([4], 2 / 3), ([5], 2 / 3), ([7], 1), ([2, 4], (1 / 2 + 2 / 3) / 2)],
)
def test_is_one_minus_recall_where_all_is_sharp(k, recall):
    np.testing.assert_allclose(first(k=k, temperature=0.01), 1 - recall, atol=1e-6)


def test_a_rank_at_the_edge_counts_one_half():
    np.testing.assert_allclose(first(k=[1], temperature=0.01), 0.5, atol=1e-6)
    np.testing.assert_allclose(first(k=[3], temperature=0.01), 1 - 1.5 / 3, atol=1e-6)


def test_more_than_k_are_not_counted():
    # Soft ends let three positives into the first two.
    shares = 1 / (1 + np.exp(-(2 - np.array([1.0, 3.0, 6.0])) / 50.0))
    assert shares.sum() < 2
    np.testing.assert_allclose(
        first(k=[2], temperature=50.0), 1 - shares.sum() / 2, rtol=1e-5
    )
    shares = 1 / (1 + np.exp(-(1 - np.array([1.0, 3.0, 6.0])) / 50.0))
    assert shares.sum() > 1
    assert first(k=[1], temperature=50.0) == 0.0


def test_only_the_nearest_are_kept():
    kept = first(k=[2], temperature=1.0, max_positives=2)
    shares = 1 / (1 + np.exp(-(2 - np.array([1.0, 3.0]))))
    np.testing.assert_allclose(kept, 1 - shares.sum() / 2, rtol=1e-5)


def test_one_k_may_stand_alone():
    assert RecallAtKSurrogateLoss(k=4).get_config()["k"] == [4]


@pytest.mark.parametrize("k", [(), 0, (1, 0), (1.5,), (True,)])
def test_a_k_that_is_none_is_refused(k):
    with pytest.raises(ValueError, match="`k` must be one or more integers.*Received"):
        RecallAtKSurrogateLoss(k=k)


def test_fewer_places_than_k_are_refused():
    with pytest.raises(ValueError, match="`max_positives` must be at least the larges"):
        RecallAtKSurrogateLoss(k=(1, 16), max_positives=8)


def test_a_rank_temperature_of_nothing_is_refused():
    with pytest.raises(ValueError, match="`rank_temperature` must be above 0"):
        RecallAtKSurrogateLoss(rank_temperature=0.0)
