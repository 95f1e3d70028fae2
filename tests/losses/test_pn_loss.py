"""The swap of the PN loss, and its mining."""

import numpy as np
import pytest

from tensorflow_similarity.losses import PNLoss, TripletLoss
from tests.gradients import evaluate

pytestmark = pytest.mark.backend_smoke

# On a line, seen from 0: positives at 2 and 4, negatives at 1, 3 and 9.
LINE = np.array([[0.0], [2.0], [-4.0], [-1.0], [3.0], [9.0]], "float32")
LABELS = np.array([0, 0, 0, 1, 1, 2])


@pytest.mark.parametrize(
    ("positive", "negative", "gap"),
    [
        ("hard", "hard", 4 - 1),  # -4 and -1 are 3 apart: no swap
        ("hard", "semi-hard", 4 - 9),
        ("easy", "hard", 2 - 1),
        ("easy", "semi-hard", 2 - 1),  # 3 is 3 from 0 and 1 from 2
        ("easy", "easy", 2 - 7),
    ],
)
def test_takes_the_nearer_of_the_two_negative_distances(positive, negative, gap):
    loss = PNLoss("euclidean", positive, negative, margin=10.0, reduction=None)
    values = evaluate(lambda x: loss(LABELS, x), LINE)
    np.testing.assert_allclose(values[0], gap + 10.0, rtol=1e-5)
    assert values[5] == 0


def test_is_never_below_the_triplet_loss():
    x = np.random.default_rng(3).normal(size=(12, 3)).astype("float32")
    labels = np.arange(12) % 4
    pn, triplet = (
        evaluate(lambda t, loss=loss: loss(labels, t), x)
        for loss in (PNLoss(reduction=None), TripletLoss(reduction=None))
    )
    assert (pn >= triplet - 1e-6).all() and (pn > triplet + 1e-3).any()


def test_takes_a_miner():
    # Positives beyond 3 and negatives within 3.5 alone: 4 and, farthest, 3 away.
    loss = PNLoss("euclidean", "hard", "easy", 10.0, reduction=None, miner="semi_hard")
    assert loss.miner is not None
    assert np.isfinite(evaluate(lambda x: loss(LABELS, x), LINE)).all()


def test_defaults_are_those_of_tf_similarity():
    config = PNLoss().get_config()
    assert config["name"] == "pn_loss"
    assert config["positive_mining_strategy"] == "hard"
    assert config["negative_mining_strategy"] == "semi-hard"
    assert config["margin"] is None
    assert PNLoss().distance.name == "cosine"


@pytest.mark.parametrize("which", ["positive", "negative"])
def test_unknown_strategy_is_refused(which):
    argument = f"{which}_mining_strategy"
    with pytest.raises(ValueError, match=rf"`{argument}` must be one of .*'all'"):
        PNLoss(**{argument: "all"})


def test_negative_margin_is_refused():
    with pytest.raises(ValueError, match=r"`margin` must be .*margin=-1"):
        PNLoss(margin=-1)
