"""What miners keep, against plain loops; what every miner keeps to."""

import json

import keras
import numpy as np
import pytest
from keras import ops

from tensorflow_similarity import miners
from tensorflow_similarity.distances import CosineDistance, EuclideanDistance
from tensorflow_similarity.losses import MultiSimilarityLoss, TripletLoss, make_pairs
from tests.gradients import compiled, evaluate, to_numpy

LABELS = np.array([3, 1, 3, 5, 1, 9, 3, 1, 5, 3])  # 9 is a singleton


def rows(n=10, dim=4, seed=3):
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(n, dim))
    return (x * generator.uniform(0.3, 3.0, size=(n, 1))).astype("float32")


def mined(miner, x, labels, distance=None):
    x = ops.convert_to_tensor(x)
    pairs = make_pairs(labels, x, distance=distance or EuclideanDistance())
    positives, negatives = miner(pairs)
    return to_numpy(positives), to_numpy(negatives)


def each_anchor(x, labels):
    """(i, {j: distance} of its positives, the same of its negatives)."""
    for i in range(len(x)):
        d = {j: float(np.linalg.norm(x[i].astype(float) - x[j])) for j in range(len(x))}
        same = {j: d[j] for j in d if j != i and labels[j] == labels[i]}
        other = {j: d[j] for j in d if labels[j] != labels[i]}
        yield i, same, other


def farthest(d):
    return {j for j in d if d[j] == max(d.values())}


def nearest(d):
    return {j for j in d if d[j] == min(d.values())}


def batch_hard(same, other):
    return farthest(same), nearest(other)


def semi_hard(same, other, margin=None, positive=max):
    anchor = positive(same.values()) if same else 0.0
    farther = {j: d for j, d in other.items() if d > anchor}
    if margin is not None:
        kept = {j for j, d in farther.items() if d < anchor + margin}
    else:
        kept = nearest(farther) if farther else farthest(other)
    return (farthest if positive is max else nearest)(same), kept


def easy_positive(same, other, negatives="semi-hard"):
    if negatives == "hard":
        return nearest(same), nearest(other)
    return semi_hard(same, other, positive=min)


def pair_margin(same, other, pos_margin=0.2, neg_margin=0.8):
    return (
        {j for j, d in same.items() if d > pos_margin},
        {j for j, d in other.items() if d < neg_margin},
    )


def triplet_margin(same, other, margin=0.2, type_of_triplets="all"):
    def is_wanted(positive, negative):
        return {
            "hard": negative < positive,
            "all": negative < positive + margin,
            "easy": negative >= positive + margin,
        }[type_of_triplets]

    triplets = [(p, n) for p in same for n in other if is_wanted(same[p], other[n])]
    return {p for p, _ in triplets}, {n for _, n in triplets}


def multi_similarity(same, other, epsilon=0.1):
    if not same or not other:
        return set(), set()
    return (
        {j for j, d in same.items() if d > min(other.values()) - epsilon},
        {j for j, d in other.items() if d < max(same.values()) + epsilon},
    )


CASES = [
    (miners.BatchHardMiner, batch_hard, {}),
    (miners.SemiHardMiner, semi_hard, {}),
    (miners.SemiHardMiner, semi_hard, {"margin": 0.7}),
    (miners.EasyPositiveMiner, easy_positive, {}),
    (miners.EasyPositiveMiner, easy_positive, {"negatives": "hard"}),
    (miners.PairMarginMiner, pair_margin, {"pos_margin": 2.0, "neg_margin": 2.5}),
    (miners.TripletMarginMiner, triplet_margin, {}),
    (miners.TripletMarginMiner, triplet_margin, {"type_of_triplets": "hard"}),
    (
        miners.TripletMarginMiner,
        triplet_margin,
        {"margin": 1.0, "type_of_triplets": "easy"},
    ),
    (miners.MultiSimilarityMiner, multi_similarity, {}),
    (miners.MultiSimilarityMiner, multi_similarity, {"epsilon": -0.5}),
]
EVERY = [
    value
    for name in miners.__all__
    if isinstance(value := getattr(miners, name), type)
    and issubclass(value, miners.Miner)
    and value is not miners.Miner
]


def test_every_public_miner_has_a_reading():
    with_reading = {miner for miner, _, _ in CASES} | {miners.DistanceWeightedMiner}
    assert set(EVERY) == with_reading
    assert miners.__all__ == sorted(miners.__all__)


@pytest.mark.parametrize(("miner", "reading", "case"), CASES)
def test_keeps_the_pairs_that_plain_loops_keep(miner, reading, case):
    for seed in range(3):
        x = rows(seed=seed)
        positives, negatives = mined(miner(**case), x, LABELS)
        n_kept = 0
        for i, same, other in each_anchor(x, LABELS):
            kept_positives, kept_negatives = reading(same, other, **case)
            assert set(np.flatnonzero(positives[i])) == kept_positives
            assert set(np.flatnonzero(negatives[i])) == kept_negatives
            n_kept += len(kept_positives) + len(kept_negatives)
        assert n_kept


def test_ties_are_all_kept():
    x = np.array([[0.0], [2.0], [-2.0], [3.0], [-3.0]], "float32")
    positives, negatives = mined(miners.BatchHardMiner(), x, np.array([0, 0, 0, 1, 2]))
    assert np.flatnonzero(positives[0]).tolist() == [1, 2]
    assert np.flatnonzero(negatives[0]).tolist() == [3, 4]


# The distance-weighted draw.


def log_weight(x, i, j, cutoff):
    a, b = (v.astype(float) / np.linalg.norm(v) for v in (x[i], x[j]))
    dim, d = len(a), max(float(np.linalg.norm(a - b)), cutoff)
    return (2 - dim) * np.log(d) - (dim - 3) / 2 * np.log(max(1 - d * d / 4, 1e-8))


def test_negatives_are_drawn_by_the_weight_of_their_distance():
    x = rows(12, dim=3, seed=8)
    labels = np.array([0, 0] + list(range(1, 11)))
    counts = np.zeros(12)
    for seed in range(150):
        miner = miners.DistanceWeightedMiner(0.5, 1.9, seed=seed)
        positives, negatives = mined(miner, x, labels)
        assert positives[0].sum() == 1 and negatives[0].sum() == 1
        counts += negatives[0]
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    near = np.linalg.norm(unit - unit[0], axis=1) < 1.9
    weights = np.array([np.exp(log_weight(x, 0, j, 0.5)) for j in range(12)])
    weights[~near | (labels == 0)] = 0
    chance = weights / weights.sum()
    assert 0 < (chance > 0).sum() < 10
    # Four standard deviations of a binomial count.
    spread = np.sqrt(150 * chance * (1 - chance))
    assert (np.abs(counts - 150 * chance) <= 4 * spread + 1e-9).all()


def test_as_many_negatives_as_positives_none_twice_none_too_far():
    x, labels = rows(60, seed=4), np.arange(60) % 6
    positives, negatives = mined(miners.DistanceWeightedMiner(), x, labels)
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    d = np.linalg.norm(unit[:, None] - unit[None], axis=2)
    drawable = (labels[:, None] != labels[None]) & (d < 1.4)
    assert (negatives <= drawable).all()
    expected = np.minimum(positives.sum(axis=1), drawable.sum(axis=1))
    np.testing.assert_array_equal(negatives.sum(axis=1), expected)
    again = mined(miners.DistanceWeightedMiner(seed=1), x, labels)[1]
    assert (again != negatives).any()


# What every miner keeps to.


@pytest.mark.parametrize("miner", EVERY)
def test_the_order_of_the_batch_does_not_matter(miner):
    x, order = rows(), np.random.default_rng(0).permutation(len(LABELS))
    straight = mined(miner(), x, LABELS)
    shuffled = mined(miner(), x[order], LABELS[order])
    for before, after in zip(straight, shuffled, strict=True):
        np.testing.assert_array_equal(before[np.ix_(order, order)], after)


@pytest.mark.parametrize(
    ("labels", "x"),
    [
        ([1], [[1.0, 2.0]]),
        ([1, 1, 1], [[1.0, 2.0], [2.0, 1.0], [0.0, 0.0]]),
        ([1, 2, 3], [[1.0, 2.0], [2.0, 1.0], [0.0, 0.0]]),
        ([1, 1, 2, 2], [[1.0, 2.0]] * 4),
        ([-1, -1, 2], [[1.0, 2.0]] * 3),
    ],
)
@pytest.mark.parametrize("miner", EVERY)
def test_keeps_none_but_pairs_of_the_batch(miner, labels, x):
    labels, x = np.array(labels), np.array(x, "float32")
    pairs = make_pairs(labels, ops.convert_to_tensor(x), distance=CosineDistance())
    positives, negatives = miner()(pairs)
    assert not (to_numpy(positives) & ~to_numpy(pairs.positives)).any()
    assert not (to_numpy(negatives) & ~to_numpy(pairs.negatives)).any()


@pytest.mark.parametrize("miner", EVERY)
def test_compiles_with_the_same_choice(miner):
    def choose(x):
        pairs = make_pairs(LABELS, x, distance=EuclideanDistance())
        return ops.cast(ops.stack(miner()(pairs)), "int32")

    x = ops.convert_to_tensor(rows())
    np.testing.assert_array_equal(
        to_numpy(compiled(choose)(x)), evaluate(choose, rows())
    )


@pytest.mark.parametrize("miner", EVERY)
def test_known_by_object_name_and_dict(miner):
    words = [w for w in miner.__name__.replace("Miner", "")]
    name = "".join("_" + w.lower() if w.isupper() else w for w in words).strip("_")
    assert miners.get(name) == miner() == miners.get(name.replace("_", "-").upper())
    made = miner()
    assert miners.get(made) is made
    config = json.loads(json.dumps(miners.serialize(made)))
    assert config["registered_name"] == f"tensorflow_similarity>{miner.__name__}"
    assert miners.get(config) == made and hash(miners.get(config)) == hash(made)
    assert repr(made).startswith(miner.__name__ + "(")


@pytest.mark.parametrize("wrong", ["hardest", 3, {"class_name": "Dense"}])
def test_an_unknown_miner_is_refused(wrong):
    with pytest.raises((ValueError, TypeError)):
        TripletLoss(miner=wrong)
    with pytest.raises(ValueError, match="must be a Miner or one of .*batch_hard"):
        miners.get("hardest")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: miners.SemiHardMiner(margin=0.0), "`margin` must be above 0"),
        (lambda: miners.EasyPositiveMiner("easy"), "'hard' or 'semi-hard'"),
        (lambda: miners.TripletMarginMiner(margin=-1), "`margin` must be at least 0"),
        (
            lambda: miners.TripletMarginMiner(type_of_triplets="semi-hard"),
            "`SemiHardMiner` keeps",
        ),
        (lambda: miners.PairMarginMiner(pos_margin="0.2"), "`pos_margin` must be a"),
        (lambda: miners.MultiSimilarityMiner(float("nan")), "`epsilon` must be a"),
        (lambda: miners.DistanceWeightedMiner(1.5), "`cutoff` must be above 0"),
    ],
)
def test_bad_arguments_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# In a loss.


def test_a_loss_sees_what_its_miner_keeps():
    x = rows()
    by_name = TripletLoss("euclidean", miner="semi-hard", reduction=None)
    by_strategy = TripletLoss("euclidean", reduction=None)
    np.testing.assert_allclose(
        evaluate(lambda t: by_name(LABELS, t), x),
        evaluate(lambda t: by_strategy(LABELS, t), x),
        rtol=1e-6,
    )
    hard = TripletLoss("euclidean", miner="batch_hard")
    assert TripletLoss.from_config(hard.get_config()).miner == hard.miner
    whole = keras.saving.serialize_keras_object(hard)
    back = keras.saving.deserialize_keras_object(json.loads(json.dumps(whole)))
    assert back.miner == miners.BatchHardMiner()


def test_an_anchor_that_keeps_no_pair_leaves_the_mean():
    x = np.array([[0.0], [0.1], [5.0], [5.1]], "float32")
    labels = np.array([0, 0, 1, 1])
    loss = MultiSimilarityLoss("euclidean", miner=miners.PairMarginMiner(1.0, 1.0))
    assert float(loss(labels, x)) == 0.0
