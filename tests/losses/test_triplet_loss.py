"""Mining rules and messages of the triplet loss."""

import numpy as np
import pytest

from tensorflow_similarity.losses import TripletLoss, TripletMarginLoss
from tests.gradients import to_numpy

pytestmark = pytest.mark.backend_smoke

# On a line, seen from 0: positives at 2 and 4, negatives at 1, 3 and 9.
LINE = np.array([[0.0], [2.0], [-4.0], [-1.0], [3.0], [9.0]], "float32")
LABELS = np.array([0, 0, 0, 1, 1, 2])


@pytest.mark.parametrize(
    ("positive", "negative", "gap"),
    [
        ("hard", "hard", 4 - 1),
        ("hard", "semi-hard", 4 - 9),
        ("hard", "easy", 4 - 9),
        ("easy", "hard", 2 - 1),
        ("easy", "semi-hard", 2 - 3),
        ("easy", "easy", 2 - 9),
    ],
)
def test_mines_by_strategy(positive, negative, gap):
    loss = TripletLoss("euclidean", positive, negative, margin=10.0, reduction=None)
    np.testing.assert_allclose(to_numpy(loss(LABELS, LINE))[0], gap + 10.0, rtol=1e-5)


def test_semi_hard_falls_back_on_the_farthest_negative():
    rows = np.array([[0.0], [5.0], [1.0], [-3.0]], "float32")
    loss = TripletLoss("euclidean", margin=0.0, reduction=None)
    values = to_numpy(loss(np.array([0, 0, 1, 2]), rows))
    np.testing.assert_allclose(values[0], 5 - 3, rtol=1e-5)


def test_soft_margin_does_not_overflow():
    rows = np.array([[0.0], [3e4], [1.0]], "float32")
    loss = TripletLoss("euclidean", reduction=None)
    values = to_numpy(loss(np.array([0, 0, 1]), rows))
    np.testing.assert_allclose(values, [3e4 - 1, np.log1p(np.e), 0.0], rtol=1e-4)


def test_name_and_alias():
    assert TripletLoss().name == "triplet_loss"
    assert TripletMarginLoss is TripletLoss


@pytest.mark.parametrize("which", ["positive", "negative"])
def test_unknown_strategy_is_refused(which):
    argument = f"{which}_mining_strategy"
    known = {"positive": "'easy', 'hard'", "negative": "'easy', 'hard', 'semi-hard'"}
    with pytest.raises(ValueError) as error:
        TripletLoss(**{argument: "middling"})
    assert f"`{argument}` must be one of [{known[which]}]" in str(error.value)
    assert f"{argument}='middling'" in str(error.value)


@pytest.mark.parametrize("margin", [-0.1, float("nan")])
def test_negative_margin_is_refused(margin):
    with pytest.raises(ValueError, match=r"`margin` must be .*Received: margin="):
        TripletLoss(margin=margin)
