"""Which rows are pairs, for each kind of targets, within a batch and with keys."""

import numpy as np
import pytest
from keras import ops

from tensorflow_similarity.distances import CosineDistance
from tensorflow_similarity.losses import make_pairs
from tests.gradients import BACKEND, HAS_FLOAT64, to_numpy

pytestmark = pytest.mark.backend_smoke

T, F = True, False


def embeddings(n, dim=3):
    return ops.convert_to_tensor(np.arange(n * dim, dtype="float32").reshape(n, dim))


def pairs_of(targets, n=None, **kwargs):
    n = len(targets) if n is None else n
    return make_pairs(targets, embeddings(n), distance=CosineDistance(), **kwargs)


def check(pairs, positives, negatives):
    np.testing.assert_array_equal(to_numpy(pairs.positives), positives)
    np.testing.assert_array_equal(to_numpy(pairs.negatives), negatives)


@pytest.mark.parametrize("targets", [[7, 7, 8], [[7], [7], [8]]])
def test_labels_make_positives_negatives_and_no_self(targets):
    pairs = pairs_of(np.array(targets))
    check(pairs, [[F, T, F], [T, F, F], [F, F, F]], [[F, F, T], [F, F, T], [T, T, F]])
    np.testing.assert_array_equal(to_numpy(pairs.self_mask), np.eye(3, dtype=bool))
    np.testing.assert_array_equal(to_numpy(pairs.query_labels), [7, 7, 8])
    assert pairs.relation is None


def test_class_ids_that_are_not_integers_are_refused():
    for labels in (np.array([1.0, 2.0, 1.0, 2.0, 3.0]), np.array([0.5] * 5, "float32")):
        with pytest.raises(TypeError, match="must be integers.*dtype float"):
            pairs_of(labels)


@pytest.mark.parametrize("dtype", ["int8", "int32", "int64"])
def test_unknown_label_forms_no_pair(dtype):
    pairs = pairs_of(np.array([1, -1, 1, -1, 2], dtype))
    positives, negatives = to_numpy(pairs.positives), to_numpy(pairs.negatives)
    assert not positives[[1, 3]].any() and not positives[:, [1, 3]].any()
    assert not negatives[[1, 3]].any() and not negatives[:, [1, 3]].any()
    assert positives.sum() == 2 and negatives.sum() == 4


@pytest.mark.parametrize("dtype", ["bool", "uint8", "uint16", "uint32", "int16"])
def test_narrow_and_unsigned_labels_are_compared_as_they_are(dtype):
    pairs = pairs_of(np.array([1, 0, 1], dtype))
    check(pairs, [[F, F, T], [F, F, F], [T, F, F]], [[F, T, F], [T, F, T], [F, T, F]])


def test_neighbouring_labels_above_2_to_24_stay_apart():
    a, b = 2**24, 2**24 + 1
    pairs = pairs_of(np.array([a, b, b]))
    check(pairs, [[F, F, F], [F, F, T], [F, T, F]], [[F, T, T], [T, F, F], [T, F, F]])


@pytest.mark.skipif(not HAS_FLOAT64, reason="the backend has 32-bit integers")
def test_neighbouring_64_bit_labels_stay_apart():
    a, b = 2**60, 2**60 + 1
    pairs = pairs_of(np.array([a, b, b]))
    check(pairs, [[F, F, F], [F, F, T], [F, T, F]], [[F, T, T], [T, F, F], [T, F, F]])


@pytest.mark.skipif(BACKEND != "jax" or HAS_FLOAT64, reason="only JAX wraps integers")
def test_integers_that_jax_would_wrap_are_refused():
    with pytest.raises(ValueError, match="beyond 32 bits, which JAX would wrap"):
        pairs_of(np.array([1, 2**32 + 1]))


def test_two_copies_of_an_item_are_no_pair():
    targets = np.array([[1, 10], [1, 10], [1, 11], [2, 12], [2, -1], [2, -1]])
    pairs = pairs_of(targets, kind="labels_ids")
    positives = to_numpy(pairs.positives)
    np.testing.assert_array_equal(positives[0], [F, F, T, F, F, F])
    np.testing.assert_array_equal(positives[4], [F, F, F, T, F, T])  # unknown ids
    np.testing.assert_array_equal(to_numpy(pairs.negatives)[0], [F, F, F, T, T, T])
    np.testing.assert_array_equal(to_numpy(pairs.self_mask)[0], [T, T, F, F, F, F])
    np.testing.assert_array_equal(to_numpy(pairs.query_labels), targets[:, 0])


def test_multi_hot_rows_that_share_a_class_are_positives():
    targets = np.array([[1, 1, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0]])
    pairs = pairs_of(targets, kind="multi_hot")
    check(
        pairs,
        [[F, T, F, F], [T, F, F, F], [F, F, F, F], [F, F, F, F]],
        [[F, F, T, F], [F, F, T, F], [T, T, F, F], [F, F, F, F]],
    )


def test_relation_speaks_row_by_row():
    relation = np.array([[1, 0.5, 0], [0, 1, -1], [0, 2, 1]], "float32")
    pairs = pairs_of(relation, kind="relation")
    check(pairs, [[F, T, F], [F, F, F], [F, T, F]], [[F, F, T], [T, F, F], [T, F, F]])
    np.testing.assert_array_equal(to_numpy(pairs.relation), relation)
    assert pairs.query_labels is None and pairs.key_labels is None


def test_separate_keys_have_no_self():
    pairs = pairs_of(
        np.array([1, 2]),
        key_targets=np.array([1, 2, -1]),
        key_embeddings=embeddings(3),
    )
    check(pairs, [[T, F, F], [F, T, F]], [[F, T, F], [T, F, F]])
    assert not to_numpy(pairs.self_mask).any()
    assert pairs.distances.shape == (2, 3)
    from_last = pairs.distances_from(ops.convert_to_tensor(np.array([2])))
    assert from_last.shape == (1, 3)
    np.testing.assert_allclose(to_numpy(from_last)[0, 2], 0, atol=1e-6)


def test_first_keys_that_are_the_queries_are_no_pairs_of_themselves():
    pairs = pairs_of(
        np.array([1, 2]),
        key_targets=np.array([1, 2, 1]),
        key_embeddings=embeddings(3),
        keys_start_with_queries=True,
    )
    check(pairs, [[F, F, T], [F, F, F]], [[F, T, F], [T, F, T]])
    np.testing.assert_array_equal(to_numpy(pairs.self_mask), np.eye(2, 3, dtype=bool))
    assert pairs.keys_start_with_queries


def test_item_ids_find_themselves_among_separate_keys():
    pairs = pairs_of(
        np.array([[1, 10]]),
        kind="labels_ids",
        key_targets=np.array([[1, 10], [1, 11]]),
        key_embeddings=embeddings(2),
    )
    check(pairs, [[F, T]], [[F, F]])


def test_relation_takes_its_columns_as_keys():
    pairs = pairs_of(
        np.array([[1.0, 0.0, -1.0]]), kind="relation", key_embeddings=embeddings(3)
    )
    check(pairs, [[T, F, F]], [[F, T, F]])


def test_distances_are_computed_once():
    pairs = pairs_of(np.array([1, 2]))
    assert pairs.distances is pairs.distances
    kept = pairs.kept(pairs.negatives, pairs.positives)
    assert kept.distances is pairs.distances
    last = pairs.distances_from(ops.convert_to_tensor(np.array([1])))
    np.testing.assert_array_equal(to_numpy(last), to_numpy(pairs.distances)[1:])


def test_is_frozen():
    with pytest.raises(AttributeError):
        pairs_of(np.array([1, 2])).positives = None


@pytest.mark.parametrize(
    ("kind", "kwargs"),
    [
        ("labels", {"key_embeddings": embeddings(2)}),
        ("labels", {"key_targets": np.array([1, 2])}),
        (
            "relation",
            {"key_targets": np.ones((2, 2)), "key_embeddings": embeddings(2)},
        ),
    ],
)
def test_half_of_the_separate_keys_is_refused(kind, kwargs):
    targets = np.ones((2, 2)) if kind == "relation" else np.array([1, 2])
    with pytest.raises(ValueError, match="Separate keys need both"):
        pairs_of(targets, kind=kind, **kwargs)


def test_relation_without_a_column_for_each_key_is_refused():
    with pytest.raises(ValueError, match="must have one column a key"):
        pairs_of(np.ones((2, 3)), kind="relation")


def test_labels_in_a_column_are_no_multi_hot_targets():
    with pytest.raises(ValueError, match=r'targets="multi_hot".*\(batch, n_classes\)'):
        make_pairs(
            np.array([[0], [1], [1]]),
            ops.ones((3, 2)),
            distance=CosineDistance(),
            kind="multi_hot",
        )
