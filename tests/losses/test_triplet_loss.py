"""Mining rules and messages of the triplet loss."""

import numpy as np
import pytest

from tensorflow_similarity.losses import TripletLoss, TripletMarginLoss
from tensorflow_similarity.miners import PairMarginMiner
from tests.gradients import evaluate, to_numpy, value_and_grad

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


# Of row 0, with margin 10: by positive, 2 and 4, the gaps to negatives.
GAPS = {
    ("all", "hard"): [2 - 1, 4 - 1],
    ("all", "easy"): [2 - 9, 4 - 9],
    ("all", "semi-hard"): [2 - 3, 4 - 9],
    ("all", "all"): [2 - 1, 2 - 3, 2 - 9, 4 - 1, 4 - 3, 4 - 9],
    ("hard", "all"): [4 - 1, 4 - 3, 4 - 9],
    ("easy", "all"): [2 - 1, 2 - 3, 2 - 9],
}


@pytest.mark.parametrize(("positive", "negative"), GAPS)
def test_all_is_a_mean_over_triplets(positive, negative):
    # Row 0 is the only anchor.
    relation = np.full((6, 6), -1)
    relation[0, 1:] = LABELS[1:] == 0
    loss = TripletLoss(
        "euclidean", positive, negative, 10.0, reduction=None, targets="relation"
    )
    values = evaluate(lambda x: loss(relation, x), LINE)
    expected = np.mean(np.add(GAPS[positive, negative], 10.0))
    np.testing.assert_allclose(values, [expected, 0, 0, 0, 0, 0], rtol=1e-5)


def test_all_counts_anchors_by_their_triplets():
    # Row 0 to 2 have 2 positives and 3 negatives, rows 3 and 4 one and four.
    loss = TripletLoss("euclidean", "all", "all", margin=100.0)
    value = evaluate(lambda x: loss(LABELS, x), LINE)
    d = np.abs(LINE - LINE.T)
    gaps = [
        d[a, p] - d[a, n]
        for a in range(6)
        for p in range(6)
        for n in range(6)
        if a != p and LABELS[a] == LABELS[p] and LABELS[a] != LABELS[n]
    ]
    assert len(gaps) == 3 * 2 * 3 + 2 * 1 * 4
    np.testing.assert_allclose(value, 100 + np.mean(gaps), rtol=1e-6)


def test_strategies_choose_among_what_a_miner_keeps():
    miner = PairMarginMiner(pos_margin=3.0, neg_margin=5.0)
    loss = TripletLoss("euclidean", "all", "all", 10.0, reduction=None, miner=miner)
    values = evaluate(lambda x: loss(LABELS, x), LINE)
    d = np.abs(LINE - LINE.T)
    # Positives beyond 3 and negatives within 5; rows 0, 1, 2, 3 and 4 have some.
    gaps = [
        [
            d[a, p] - d[a, n] + 10.0
            for p in range(6)
            for n in range(6)
            if LABELS[a] == LABELS[p] and d[a, p] > 3
            if LABELS[a] != LABELS[n] and d[a, n] < 5
        ]
        for a in range(6)
    ]
    n_anchors, n_triplets = sum(map(bool, gaps)), sum(map(len, gaps))
    assert (n_anchors, len(gaps[0])) == (5, 2)
    expected = [sum(g) * n_anchors / n_triplets for g in gaps]
    np.testing.assert_allclose(values, expected, rtol=1e-5)


@pytest.mark.parametrize("margin", [None, 0.2])
@pytest.mark.parametrize("negative", ["all", "semi-hard"])
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")
def test_all_compiles_with_the_same_value_and_gradient(negative, margin):
    loss = TripletLoss("cosine", "all", negative, margin)
    x = np.random.default_rng(4).normal(size=(9, 3)).astype("float32")
    labels = np.array([0, 1, 2, 0, 1, 0, 0, 3, -1])

    def total(t):
        return loss(labels, t)

    value, (gradient,) = value_and_grad(total, x)
    again, (same,) = value_and_grad(total, x, compiled=True)
    np.testing.assert_allclose(again, value, rtol=1e-5)
    np.testing.assert_allclose(same, gradient, rtol=1e-4, atol=1e-6)
    assert np.abs(gradient).max() > 1e-3


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
    known = {
        "positive": "'all', 'easy', 'hard'",
        "negative": "'all', 'easy', 'hard', 'semi-hard'",
    }
    with pytest.raises(ValueError) as error:
        TripletLoss(**{argument: "middling"})
    assert f"`{argument}` must be one of [{known[which]}]" in str(error.value)
    assert f"{argument}='middling'" in str(error.value)


@pytest.mark.parametrize("margin", [-0.1, float("nan")])
def test_negative_margin_is_refused(margin):
    with pytest.raises(ValueError, match=r"`margin` must be .*Received: margin="):
        TripletLoss(margin=margin)
