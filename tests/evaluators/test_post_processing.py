"""Query expansion, augmentation, re-ranking and thresholds, against the papers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tensorflow_similarity.evaluators import (
    adaptive_threshold,
    augment_database,
    expand_queries,
    rerank,
    within_threshold,
)
from tensorflow_similarity.types import NO_LABEL, Lookup, Lookups


def blobs(n, dim, n_classes, seed, noise=0.6):
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, n_classes, n)
    centres = generator.normal(size=(n_classes, dim))
    x = centres[labels] + noise * generator.normal(size=(n, dim))
    return x.astype(np.float32), labels


def unit(rows):
    rows = np.asarray(rows, np.float64)
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def expanded(query, items, k, alpha, skip=None):
    """One query by the papers' formula, in float64."""
    q, x = unit(query), unit(items)
    similarities = [(q @ row, i) for i, row in enumerate(x) if i != skip]
    similarities.sort(key=lambda pair: (-pair[0], pair[1]))
    total, weight = q.copy(), 1.0
    for similarity, i in similarities[:k]:
        w = max(similarity, 0.0) ** alpha
        total += w * x[i]
        weight += w
    return unit(total / weight)


@pytest.mark.parametrize("alpha", [0.0, 1.0, 3.0])
def test_expansion_is_that_of_the_papers(alpha):
    items, _ = blobs(40, 6, 4, 1)
    queries, _ = blobs(9, 6, 4, 2)
    found = expand_queries(queries, items, k=5, alpha=alpha)
    wanted = [expanded(query, items, 5, alpha) for query in queries]
    np.testing.assert_allclose(found, wanted, atol=2e-6)
    found = augment_database(items, k=5, alpha=alpha)
    wanted = [expanded(row, items, 5, alpha, skip=i) for i, row in enumerate(items)]
    np.testing.assert_allclose(found, wanted, atol=2e-6)


def test_expansion_by_another_distance_is_the_plain_mean():
    items = np.array([[0.0, 0.0], [2.0, 0.0], [9.0, 9.0]])
    found = expand_queries([[1.0, 3.0]], items, k=2, distance="euclidean")
    np.testing.assert_allclose(found, [[1.0, 1.0]])


def test_a_duplicate_counts_and_the_item_itself_does_not():
    items = np.array([[1.0, 0.0]] * 4 + [[0.0, 1.0]])
    np.testing.assert_allclose(augment_database(items, k=2)[:4], items[:4], atol=1e-7)
    found = augment_database(items, k=4)
    wanted = unit([[4.0, 1.0]] * 4 + [[4.0, 1.0]])
    np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_more_neighbours_than_items_are_all_items():
    items, _ = blobs(4, 3, 2, 3)
    queries = items[:2] + 0.1
    a = expand_queries(queries, items, k=50)
    np.testing.assert_allclose(a, expand_queries(queries, items, k=4))
    np.testing.assert_allclose(
        augment_database(items, k=50), augment_database(items, k=3)
    )


def test_expansion_refuses_what_it_cannot_do():
    items = np.eye(3)
    with pytest.raises(ValueError, match="`alpha` must be a number of at least 0"):
        expand_queries(items, items, alpha=-1.0)
    with pytest.raises(ValueError, match="needs `distance='cosine'`"):
        expand_queries(items, items, alpha=1.0, distance="euclidean")
    with pytest.raises(ValueError, match="`embeddings` is empty"):
        expand_queries(items, np.empty((0, 3)))
    with pytest.raises(ValueError, match="`k` must be an integer"):
        augment_database(items, k=0)
    with pytest.raises(ValueError, match=r"shape \(n, 3\)"):
        expand_queries(np.eye(2), items)
    with pytest.raises(ValueError, match="NaN"):
        augment_database(np.full((2, 2), np.nan))


# Re-ranking


def pairwise(a, b, distance):
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if distance == "cosine":
        return 0.5 * ((unit(a)[:, None] - unit(b)[None]) ** 2).sum(-1)
    return np.sqrt(((a[:, None] - b[None]) ** 2).sum(-1))


def reranked(items, queries, k, k1, k2, lmda, distance):
    """The paper, one query at a time, with sets and dictionaries."""
    n = len(items)
    d = pairwise(items, items, distance)
    scale = max(d[i, (i + n // 2) % n] for i in range(n))
    d = d / scale

    def nearest(row, skip=None):
        others = [j for j in range(n) if j != skip]
        return sorted(others, key=lambda j: (row[j], j))

    lists = [nearest(d[i], i) for i in range(n)]

    def mutual(row, order, size, own):
        members = set() if own is None else {own}
        for g in order[:size]:
            last = lists[g][min(size, n - 1) - 1]
            if row[g] <= d[g, last] + 1e-7:
                members.add(g)
        return members

    def weights(row, order, own):
        wide = mutual(row, order, k1, own)
        grown = set(wide)
        for g in wide:
            half = mutual(d[g], lists[g], (k1 + 1) // 2, g)
            if len(wide & half) * 3 >= 2 * len(half):
                grown |= half
        return {g: np.exp(-row[g]) for g in grown}

    def mean(own, order, k2):
        vectors = [own] + [of_items[g] for g in order[: k2 - 1]]
        keys = {g for vector in vectors for g in vector}
        return {g: sum(v.get(g, 0.0) for v in vectors) / len(vectors) for g in keys}

    of_items = [weights(d[i], lists[i], i) for i in range(n)]
    means = [mean(of_items[i], lists[i], k2) for i in range(n)]
    ids, values = [], []
    for q in range(n if queries is None else len(queries)):
        if queries is None:
            row, order, vector = d[q], lists[q], means[q]
        else:
            row = pairwise(queries[q : q + 1], items, distance)[0] / scale
            order = nearest(row)
            vector = mean(weights(row, order, None), order, k2)
        found = []
        for g in order[:k]:
            keys = set(vector) | set(means[g])
            low = sum(min(vector.get(j, 0.0), means[g].get(j, 0.0)) for j in keys)
            high = sum(max(vector.get(j, 0.0), means[g].get(j, 0.0)) for j in keys)
            found.append(((1 - lmda) * (1 - low / high) + lmda * row[g], g))
        ranks = sorted(range(len(found)), key=lambda i: found[i][0])
        ids.append([found[i][1] for i in ranks])
        values.append([found[i][0] for i in ranks])
    return np.array(ids), np.array(values)


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
@pytest.mark.parametrize("alone", [True, False])
@pytest.mark.parametrize(
    ("k", "k1", "k2", "lmda"),
    [(30, 8, 3, 0.3), (59, 5, 1, 0.0), (10, 7, 9, 0.7), (80, 100, 6, 0.3)],
)
def test_reranking_is_that_of_the_paper(distance, alone, k, k1, k2, lmda):
    items, labels = blobs(60, 5, 4, 4)
    queries = None if alone else blobs(12, 5, 4, 5)[0]
    found = rerank(
        items,
        queries,
        labels=labels,
        k=k,
        k1=k1,
        k2=k2,
        lmda=lmda,
        distance=distance,
    )
    ids, values = reranked(items, queries, k, k1, k2, lmda, distance)
    np.testing.assert_allclose(found.distances, values, atol=2e-5)
    same = (found.ids == ids).mean()
    assert same > 0.98  # what differs, differs by rounding
    np.testing.assert_array_equal(found.labels, labels[found.ids])


def test_the_order_changes_and_the_neighbours_stay():
    items, labels = blobs(120, 5, 6, 6, noise=1.0)
    plain = rerank(items, k=30, lmda=1.0)
    found = rerank(items, k=30)
    assert (plain.ids != found.ids).any()
    np.testing.assert_array_equal(np.sort(plain.ids, 1), np.sort(found.ids, 1))
    assert (np.diff(plain.distances, axis=1) >= 0).all()
    hits = [
        (labels[part.ids[:, :10]] == labels[:, None]).mean() for part in (plain, found)
    ]
    assert hits[1] > hits[0]


def test_a_query_does_not_depend_on_the_others():
    items, _ = blobs(80, 5, 4, 7)
    queries, _ = blobs(6, 5, 4, 8)
    together = rerank(items, queries, k=20)
    for i in range(6):
        one = rerank(items, queries[i : i + 1], k=20)
        np.testing.assert_array_equal(one.ids[0], together.ids[i])


def test_lookups_keep_ids_labels_and_what_the_index_knows():
    items, _ = blobs(50, 4, 3, 9)
    queries, _ = blobs(5, 4, 3, 10)
    plain = rerank(items, queries, k=9, lmda=1.0)
    wanted = rerank(items, queries, k=9)
    names = np.array([f"item {i}" for i in range(50)], object)
    known = object()
    lookups = Lookups(names[plain.ids], plain.distances, names[plain.ids], None, known)
    found = rerank(items, queries, lookups=lookups, ids=names)
    np.testing.assert_array_equal(found.ids, names[wanted.ids])
    np.testing.assert_array_equal(found.labels, found.ids)
    np.testing.assert_array_equal(found.distances, wanted.distances)
    assert found.records is known
    as_lists = [
        [Lookup(rank=j + 1, distance=0.0, id=int(i)) for j, i in enumerate(row)]
        for row in plain.ids
    ]
    found = rerank(items, queries, lookups=as_lists)
    np.testing.assert_array_equal(found.ids, wanted.ids)


def test_missing_neighbours_stay_missing_and_last():
    items, _ = blobs(30, 4, 3, 11)
    plain = rerank(items, k=6, lmda=1.0)
    found = plain.found.copy()
    found[:, 2] = False
    ids = np.where(found, plain.ids, -1)
    distances = np.where(found, plain.distances, np.inf)
    again = rerank(items, lookups=Lookups(ids, distances, plain.labels, found))
    assert not again.found[:, -1].any() and again.found[:, :-1].all()
    assert (again.ids[:, -1] == -1).all() and np.isinf(again.distances[:, -1]).all()


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 25), st.integers(1, 12), st.integers(1, 8), st.integers(0, 99))
def test_duplicates_and_ties_give_numbers_in_range(n, k1, k2, seed):
    items = np.random.default_rng(seed).integers(0, 2, (n, 3))
    found = rerank(items, k1=k1, k2=k2, lmda=0.0)
    assert found.ids.shape == (n, min(n - 1, 100))
    assert ((found.distances >= 0) & (found.distances <= 1)).all()
    assert (np.diff(found.distances, axis=1) >= 0).all()


def test_all_items_alike():
    found = rerank(np.ones((6, 2)), k1=3)
    assert np.isfinite(found.distances).all()


def test_reranking_refuses_what_it_cannot_do():
    items, _ = blobs(10, 3, 2, 12)
    plain = rerank(items, k=3)
    for arguments, message in (
        ({"k1": 0}, "`k1` must be an integer of at least 1"),
        ({"k2": 2.5}, "`k2` must be an integer of at least 1"),
        ({"lmda": 1.5}, "`lmda` must be from 0 to 1"),
        ({"scale": 0.0}, "`scale` must be a number above 0"),
        ({"distance": "snr"}, "the same both ways"),
        ({"lookups": plain[:4]}, "4 rows for 10 queries"),
        ({"lookups": plain, "ids": np.arange(10) + 50}, "which is not in `ids`"),
        ({"lookups": plain, "ids": np.zeros(10, int)}, "`ids` must be distinct"),
    ):
        with pytest.raises(ValueError, match=message):
            rerank(items, **arguments)
    far = Lookups(plain.ids + 10, plain.distances, plain.labels)
    with pytest.raises(ValueError, match="not rows of `embeddings`"):
        rerank(items, lookups=far)
    with pytest.raises(ValueError, match="at least two items"):
        rerank(items[:1])
    with pytest.raises(TypeError, match="`lookups` must be `Lookups`"):
        rerank(items, lookups=[1, 2])


# Thresholds


def lookups_of(distances, labels):
    distances = np.array(distances, np.float32)
    found = np.isfinite(distances)
    ids = np.where(found, np.arange(distances.size).reshape(distances.shape), -1)
    return Lookups(ids, distances, np.array(labels))


def test_ratio_by_hand():
    missing, inf = NO_LABEL, np.inf
    lookups = lookups_of(
        [
            [0.1, 0.2, 0.5],  # the third is the first of another class
            [0.1, 0.2, 0.5],  # all agree: the last
            [0.1, 0.2, 0.5],  # one without a label is passed over
            [0.1, inf, inf],
            [inf, inf, inf],
        ],
        [
            [1, 1, 2],
            [1, 1, 1],
            [missing, -1, 4],
            [1, missing, missing],
            [missing, missing, missing],
        ],
    )
    found = adaptive_threshold(lookups, ratio=0.6)
    np.testing.assert_allclose(found, [0.3, 0.5, 0.3, 0.1, -np.inf], rtol=1e-6)
    kept = within_threshold(lookups, found)
    assert kept.found.tolist() == [
        [True, True, False],
        [True, True, True],
        [True, True, False],
        [True, False, False],
        [False, False, False],
    ]
    assert kept.ids[0].tolist() == [0, 1, -1] and kept.labels[0, 2] == NO_LABEL
    assert np.isinf(kept.distances[0, 2]) and kept.distances.dtype == np.float32


def test_cohort_by_hand():
    lookups = lookups_of([[0.1, 1.0, 3.0], [0.1, np.inf, np.inf]], [[1, 1, 1]] * 2)
    found = adaptive_threshold(lookups, "cohort", n_std=0.5)
    np.testing.assert_allclose(found, [1.5, -np.inf], rtol=1e-6)


def test_thresholds_of_lists_and_of_strings():
    rows = [
        [
            Lookup(rank=1, distance=0.1, label="a"),
            Lookup(rank=2, distance=0.5, label="b"),
        ],
        [Lookup(rank=1, distance=0.2)],
        [],
    ]
    found = adaptive_threshold(rows)
    np.testing.assert_allclose(found, [0.4, 0.2, -np.inf], rtol=1e-6)
    kept = within_threshold(rows, 0.15)
    assert kept.labels.tolist() == [["a", None], [None, None], [None, None]]
    assert [len(row) for row in kept] == [1, 0, 0]
    assert adaptive_threshold([[], []]).tolist() == [-np.inf, -np.inf]


def test_thresholds_refuse_what_they_cannot_do():
    lookups = lookups_of([[0.1, 0.2]], [[1, 2]])
    for arguments, message in (
        ({"rule": "gap"}, "`rule` must be one of"),
        ({"ratio": 0}, "`ratio` must be a number above 0"),
        ({"n_std": -1}, "`n_std` must be a number of at least 0"),
        ({"n_near": 0}, "`n_near` must be an integer"),
    ):
        with pytest.raises(ValueError, match=message):
            adaptive_threshold(lookups, **arguments)
    for thresholds in ([1.0, 2.0], np.nan):
        with pytest.raises(ValueError, match="`thresholds` must be one number"):
            within_threshold(lookups, thresholds)


def test_all_items_are_neighbours_of_a_query_where_there_are_few():
    found = rerank(
        [[0.0], [1.0]],
        [[0.4]],
        k=2,
        k1=1,
        k2=3,
        lmda=0.0,
        distance="euclidean",
        scale=1.0,
    )
    np.testing.assert_allclose(found.distances, [[0.16999, 0.16999]], atol=1e-4)


def test_no_queries_have_no_neighbours():
    found = rerank(np.eye(3), np.zeros((0, 3)))
    assert len(found) == 0


@pytest.mark.parametrize("value", ["0.5", np.nan, True])
def test_shares_and_scales_are_numbers(value):
    with pytest.raises(ValueError, match="`lmda` must be from 0 to 1"):
        rerank(np.eye(3), lmda=value)
    with pytest.raises(ValueError, match="`scale` must be a number above 0"):
        rerank(np.eye(3), scale=value)


def test_thresholds_of_negative_distances_and_of_other_kinds():
    ids, labels = np.array([[1, 2]]), np.array([[7, 8]])
    close = Lookups(ids, np.array([[-5.0, -4.0]], np.float32), labels)
    with pytest.raises(ValueError, match="'ratio'.* needs distances of at least 0"):
        adaptive_threshold(close)
    assert np.isfinite(adaptive_threshold(close, "cohort", n_near=np.int64(1))).all()
    for name in ("ratio", "n_std"):
        with pytest.raises(ValueError, match=f"`{name}` must be a number"):
            adaptive_threshold(close, **{name: "0.5"})
    at = Lookups(ids, np.array([[0.1, 0.3]], np.float32), labels)
    assert within_threshold(at, 0.1).found.tolist() == [[True, False]]
