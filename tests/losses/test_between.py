"""Every loss on pairs, of queries against keys: rectangles are cut from squares."""

import keras
import numpy as np
import pytest
from keras import ops

from tensorflow_similarity import losses, miners
from tensorflow_similarity.distances import CosineDistance
from tensorflow_similarity.losses.pairs import Keys
from tests.gradients import BACKEND, HAS_FLOAT64, evaluate, to_numpy, value_and_grad

from .papers import PAPERS

pytestmark = pytest.mark.backend_smoke

PAIR_PAPERS = [p for p in PAPERS if not issubclass(p.loss, losses.ClassLoss)]
FIRST = [(paper, paper.cases[0]) for paper in PAIR_PAPERS]
# JAX compiles each case for seconds; what is compared is the same.
CASES = (
    FIRST
    if BACKEND == "jax"
    else [(paper, case) for paper in PAIR_PAPERS for case in paper.cases]
)
FIRST_AND_LAST = FIRST
if BACKEND != "jax":
    FIRST_AND_LAST = FIRST + [(paper, paper.cases[-1]) for paper in PAIR_PAPERS]
DTYPE = "float64" if HAS_FLOAT64 else "float32"

N_QUERIES = 7
LABELS = np.array([3, 1, 3, 5, 1, 9, 3, 1, 3, -1, 9, 4, 1, 5])  # 4 is a singleton
QUERY_LABELS, KEY_LABELS = LABELS[:N_QUERIES], LABELS[N_QUERIES:]
# Each anchor has a share of its own in what is compared, so that none can hide.
SHARES = np.random.default_rng(8).uniform(0.5, 2.0, size=N_QUERIES)


def rows():
    """Rows of unequal norms."""
    generator = np.random.default_rng(4)
    x = generator.normal(size=(len(LABELS), 4))
    return (x * generator.uniform(0.3, 3.0, size=(len(x), 1))).astype(DTYPE)


def made(paper, **kwargs):
    keras.utils.set_random_seed(20)
    return paper.make(4, **kwargs)


def anchors_of_square(loss, x, labels, is_pair):
    """Values of a square, of which only the pairs under the mask are left."""
    pairs = losses.make_pairs(labels, x, distance=loss.distance)
    pairs = pairs.kept(
        ops.logical_and(pairs.positives, is_pair),
        ops.logical_and(pairs.negatives, is_pair),
    )
    values, weights = loss.compute(pairs)
    counted = ops.any(ops.logical_or(pairs.positives, pairs.negatives), axis=1)
    weights = ops.where(counted, ops.cast(weights, values.dtype), 0.0)
    return (ops.where(weights > 0, values, 0.0) * weights)[:N_QUERIES]


def close(actual, expected):
    tolerance = 1e-9 if DTYPE == "float64" else 2e-5
    scale = max(np.abs(expected).max(), 1e-3)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance * scale)


def same(by_rectangle, by_square, *arrays):
    """Value and gradient of both, weighted by `SHARES`."""

    def total(anchors):
        return lambda *x: ops.sum(anchors(*x) * ops.cast(SHARES, DTYPE))

    value, gradients = value_and_grad(total(by_rectangle), *arrays)
    expected, expected_gradients = value_and_grad(total(by_square), *arrays)
    assert abs(expected) > 1e-4
    close(value, expected)
    for gradient, right in zip(gradients, expected_gradients, strict=True):
        close(gradient, right)


@pytest.mark.heavy_on_jax
@pytest.mark.parametrize(("paper", "case"), CASES)
def test_keys_beyond_the_batch_are_rows_that_are_no_anchors(paper, case):
    loss, x = made(paper, **paper.arguments(case)), rows()
    rest = ops.convert_to_tensor(x[N_QUERIES:])
    is_anchor = np.arange(len(LABELS))[:, None] < N_QUERIES

    def rectangle(queries):
        keys = Keys(LABELS, ops.concatenate([queries, rest]), start_with_queries=True)
        values, weights = loss._values_and_weights(QUERY_LABELS, queries, keys)
        return values * weights

    def square(queries):
        whole = ops.concatenate([queries, rest])
        return anchors_of_square(loss, whole, LABELS, ops.convert_to_tensor(is_anchor))

    same(rectangle, square, x[:N_QUERIES])


@pytest.mark.heavy_on_jax
@pytest.mark.parametrize(("paper", "case"), FIRST_AND_LAST)
def test_separate_keys_are_a_corner_of_the_square(paper, case):
    loss, x = made(paper, **paper.arguments(case), reduction=None), rows()
    is_query = np.arange(len(LABELS)) < N_QUERIES
    is_pair = is_query[:, None] & ~is_query[None, :]
    if issubclass(paper.loss, losses.LiftedStructureLoss):
        # The negatives of a positive count too, and those of a key are queries.
        differ = LABELS[:, None] != LABELS[None, :]
        is_pair |= is_pair.T & differ
        if case.get("distance") == "snr":
            pytest.skip("from a key to a query is another distance than back")

    def rectangle(queries, keys):
        return loss.between(QUERY_LABELS, queries, KEY_LABELS, keys)

    def square(queries, keys):
        whole = ops.concatenate([queries, keys])
        return anchors_of_square(loss, whole, LABELS, ops.convert_to_tensor(is_pair))

    same(rectangle, square, x[:N_QUERIES], x[N_QUERIES:])


@pytest.mark.parametrize("name", sorted(miners._BY_NAME))
def test_a_miner_keeps_of_more_keys_what_it_keeps_of_the_square(name):
    miner, x = miners.get(name), rows()
    whole = losses.make_pairs(
        LABELS, ops.convert_to_tensor(x), distance=CosineDistance()
    )
    rectangle = losses.make_pairs(
        QUERY_LABELS,
        ops.convert_to_tensor(x[:N_QUERIES]),
        distance=CosineDistance(),
        key_targets=LABELS,
        key_embeddings=ops.convert_to_tensor(x),
        keys_start_with_queries=True,
    )
    for mine, of_square in zip(miner(rectangle), miner(whole), strict=True):
        assert to_numpy(mine).any()
        np.testing.assert_array_equal(to_numpy(mine), to_numpy(of_square)[:N_QUERIES])


def test_reduces_and_weighs_as_a_call_does():
    x, weights = rows(), np.array([1.0, 0.5, 2.0, 1.0, 0.0, 3.0, 1.5])
    key_labels = np.where(KEY_LABELS == 9, -1, KEY_LABELS)  # a query has no positive
    arguments = QUERY_LABELS, x[:N_QUERIES], key_labels, x[N_QUERIES:]

    def value(reduction, sample_weight):
        loss = losses.TripletLoss(reduction=reduction, margin=1.0)
        return evaluate(lambda: loss.between(*arguments, sample_weight))

    each, weighted = value(None, None), value(None, weights)
    assert each.shape == (N_QUERIES,)
    close(weighted, each * weights)
    n_anchors = (each > 0).sum()
    assert 0 < n_anchors < N_QUERIES
    close(value("sum", weights), weighted.sum())
    close(value("sum_over_batch_size", weights[:, None]), weighted.sum() / n_anchors)
    close(
        value("mean_with_sample_weight", weights),
        weighted.sum() / weights[each > 0].sum(),
    )


def test_a_relation_has_the_keys_as_its_columns():
    x = rows()
    queries, keys = x[:N_QUERIES], x[N_QUERIES:]
    relation = (QUERY_LABELS[:, None] == KEY_LABELS).astype("float32")
    relation[:, KEY_LABELS == -1] = -1
    by_labels = losses.MultiSimilarityLoss()
    by_relation = losses.MultiSimilarityLoss(targets="relation")
    close(
        evaluate(lambda: by_relation.between(relation, queries, None, keys)),
        evaluate(lambda: by_labels.between(QUERY_LABELS, queries, KEY_LABELS, keys)),
    )
    with pytest.raises(ValueError, match="a relation needs `key_embeddings` alone"):
        by_relation.between(relation, queries, KEY_LABELS[:, None], keys)


def test_nan_among_keys_is_seen():
    x = rows()
    x[-1, 0] = np.nan
    loss = losses.TripletLoss()
    value = evaluate(
        lambda: loss.between(QUERY_LABELS, x[:N_QUERIES], KEY_LABELS, x[N_QUERIES:])
    )
    assert np.isnan(value)


def test_losses_of_losses_hand_keys_on():
    x = rows()
    arguments = QUERY_LABELS, x[:N_QUERIES], KEY_LABELS, x[N_QUERIES:]
    triplet, contrastive = losses.TripletLoss(), losses.ContrastiveLoss()
    a, b = (
        evaluate(lambda loss=p: loss.between(*arguments))
        for p in (triplet, contrastive)
    )
    total = losses.SumOfLosses([triplet, contrastive], weights=[2.0, 0.5])
    close(evaluate(lambda: total.between(*arguments)), 2 * a + 0.5 * b)

    cut = (QUERY_LABELS, x[:N_QUERIES, :2], KEY_LABELS, x[N_QUERIES:, :2])
    widths = losses.MatryoshkaLoss(triplet, dims=[4, 2], weights=[1.0, 3.0])
    expected = a + 3 * evaluate(lambda: triplet.between(*cut))
    close(evaluate(lambda: widths.between(*arguments)), expected)


@pytest.mark.parametrize("paper", [p for p in PAPERS if p not in PAIR_PAPERS])
def test_losses_with_classes_know_no_keys(paper):
    with pytest.raises(
        ValueError, match="with classes, not with keys. Call it on each"
    ):
        made(paper).between([0], [[1.0] * 4], [0], [[1.0] * 4])


@pytest.mark.parametrize("loss", [losses.InfoNCELoss, losses.MultiNegativesRankLoss])
def test_losses_of_rows_know_no_targets(loss):
    with pytest.raises(ValueError, match="pairs by their rows.*`loss.query_embeddings"):
        loss().between([0], [[1.0]], [0], [[1.0]])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0], [[1.0]], [0], [[1.0, 2.0]]), "`key_embeddings` must have shape"),
        (([0], [[1.0]], [0], [1.0]), "`key_embeddings` must have shape"),
        (([0], [1.0], [0], [[1.0]]), "`query_embeddings` must be embeddings"),
        (([0, 1], [[1.0]], [0], [[1.0]]), "`query_targets` and `query_embeddings`"),
        (([0], [[1.0]], [0, 1], [[1.0]]), "`key_targets` and `key_embeddings`"),
        (([0], [[1.0]], None, [[1.0]]), "Separate keys need both"),
        (([0], [[1.0]], [0], [[1.0]], [1.0, 2.0]), "`sample_weight` must have one"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        losses.TripletLoss().between(*arguments)
