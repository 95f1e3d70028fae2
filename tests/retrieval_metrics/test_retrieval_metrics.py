"""Retrieval metrics as objects, against their definitions in loops and by hand."""

import json
import math

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tensorflow_similarity.retrieval_metrics import (
    BNDCG,
    NDCG,
    MapAtK,
    MeanReciprocalRank,
    PrecisionAtK,
    RecallAtK,
    RetrievalMetric,
)
from tensorflow_similarity.retrieval_metrics.utils import compute_match_mask

CLASSES = [RecallAtK, PrecisionAtK, MapAtK, BNDCG, MeanReciprocalRank, NDCG]
T, F = True, False

# Labels 1 and 2; queries 0 and 2 share a class.
QUERIES = [1, 2, 1]
MASK = [[T, T, F, T, F], [F, F, T, F, F], [F, T, F, F, T]]
DISTANCES = [[0.0, 0.1, 0.2, 0.3, 0.4]] * 3
R = {1: 4, 2: 2}


def labels_of(mask, queries):
    return [
        [query if hit else 9 for hit in row]
        for row, query in zip(mask, queries, strict=True)
    ]


def compute(metric, mask=MASK, queries=QUERIES, distances=DISTANCES):
    return float(
        metric.compute(
            query_labels=queries,
            lookup_labels=labels_of(mask, queries),
            lookup_distances=distances,
            match_mask=mask,
        )
    )


def dcg(gains):
    return sum(gain / math.log2(j + 2) for j, gain in enumerate(gains))


def value(metric, hits, r):
    """One query's value, from the definitions, in loops."""
    k, n = metric.k, None
    if metric.drop_closest_lookup:
        hits = hits[1:]
    if getattr(metric, "r", None) is not None:
        n = r - metric.drop_closest_lookup
        if n == 0:
            return 0.0
    near = hits[: n if getattr(metric, "clip_at_r", False) else k]
    if isinstance(metric, RecallAtK):
        return float(any(near))
    if isinstance(metric, PrecisionAtK):
        return sum(near) / (len(near) if n is None else n)
    if isinstance(metric, MapAtK):
        total = sum(sum(near[: j + 1]) / (j + 1) for j in range(len(near)) if near[j])
        return total / (n or sum(near) or 1)
    if isinstance(metric, MeanReciprocalRank):
        return 1 / (1 + near.index(True)) if any(near) else 0.0
    if isinstance(metric, BNDCG):
        return dcg(near) / (dcg(sorted(near, reverse=True)) or 1)
    best = [1] * n if n is not None else sorted(hits, reverse=True)
    return min(1, dcg(near) / (dcg(best[: n if metric.clip_at_r else k]) or 1))


@pytest.mark.parametrize(
    "metric, expected",
    [
        (RecallAtK(k=1), 1 / 3),
        (RecallAtK(k=2), 2 / 3),
        (RecallAtK(k=2, average="macro"), (1 + 0) / 2),
        (PrecisionAtK(k=4), (3 / 4 + 1 / 4 + 1 / 4) / 3),
        (PrecisionAtK(k=4, average="macro"), (1 / 2 + 1 / 4) / 2),
        (PrecisionAtK(k=4, r=R), (3 / 4 + 1 / 2 + 1 / 4) / 3),
        (PrecisionAtK(r=R, clip_at_r=True), (3 / 4 + 0 + 1 / 4) / 3),
        (MapAtK(k=4, r=R), ((1 + 1 + 3 / 4) / 4 + (1 / 3) / 2 + (1 / 2) / 4) / 3),
        (MapAtK(r=R, clip_at_r=True), ((1 + 1 + 3 / 4) / 4 + 0 + (1 / 2) / 4) / 3),
        (MeanReciprocalRank(k=3), (1 + 1 / 3 + 1 / 2) / 3),
        (BNDCG(k=3), (1 + 0.5 / 1 + 1 / math.log2(3)) / 3),
    ],
)
def test_worked_by_hand(metric, expected):
    assert compute(metric) == pytest.approx(expected, abs=1e-12)


def test_columns_after_the_dropped_one_are_k():
    # T | T T F T: of the four after the first, three match. The predecessor said 2/3.
    mask, distances = [[T, T, T, F, T]], [[0.0, 0.1, 0.2, 0.3, 0.4]]
    metric = PrecisionAtK(k=4, drop_closest_lookup=True)
    assert compute(metric, mask, [1], distances) == 0.75
    # Of exactly k columns the others count.
    short = compute(metric, [[T, T, T, F]], [1], [[0.0, 0.1, 0.2, 0.3]])
    assert short == pytest.approx(2 / 3)


@pytest.mark.parametrize("cls", CLASSES)
def test_threshold_is_applied_by_every_metric(cls):
    metric = cls(k=3, distance_threshold=0.15)
    beyond = [[h and j < 2 for j, h in enumerate(row)] for row in MASK]
    assert metric.name.endswith("@3 : distance_threshold@0.15")
    assert compute(metric) == pytest.approx(compute(cls(k=3), beyond))
    assert compute(metric) < compute(cls(k=3)) or cls in (BNDCG, MapAtK)


def test_threshold_itself_is_within():
    assert compute(RecallAtK(k=1, distance_threshold=0.0)) == 1 / 3


CASES = [
    (cls, with_r, average)
    for cls in CLASSES
    for with_r in (None, "r", "clip")
    for average in ("micro", "macro")
    if (with_r is None or hasattr(cls(), "r"))
    and not (cls is MapAtK and average == "macro")
]


@pytest.mark.parametrize("dropped", [False, True])
@pytest.mark.parametrize("cls, with_r, average", CASES)
def test_agrees_with_the_definitions_in_zero_to_one(cls, with_r, average, dropped):
    options = {"average": average, "drop_closest_lookup": dropped}
    if with_r:
        options["clip_at_r"] = with_r == "clip"
    random = np.random.default_rng(7)
    for k in (1, 2, 5):
        labels = random.integers(0, 3, 12)
        items = random.integers(0, 3, (12, 30))
        if dropped:
            items[:, 0] = labels
        r = {c: int((items == c).sum(axis=1).max()) for c in range(3)}
        metric = cls(k=k, **options, **({"r": r} if with_r else {}))
        mask = items == labels[:, None]
        found = compute(metric, mask, labels, np.zeros(mask.shape))
        each = [
            value(metric, row.tolist(), r[label])
            for row, label in zip(mask, labels.tolist(), strict=True)
        ]
        expected = np.mean(each)
        if average == "macro":
            means = [
                np.mean(
                    [v for v, label in zip(each, labels, strict=True) if label == c]
                )
                for c in np.unique(labels)
            ]
            expected = np.mean(means)
        assert found == pytest.approx(expected, abs=1e-12)
        assert 0 <= found <= 1


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_everything_lies_in_zero_to_one(data):
    n, width = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 6))
    row = st.lists(st.booleans(), min_size=width, max_size=width)
    mask = data.draw(st.lists(row, min_size=n, max_size=n))
    queries = data.draw(st.lists(st.integers(0, 2), min_size=n, max_size=n))
    k = data.draw(st.integers(1, width))
    for cls in CLASSES:
        assert 0 <= compute(cls(k=k), mask, queries, np.zeros((n, width))) <= 1


@pytest.mark.parametrize("cls", [PrecisionAtK, MapAtK, NDCG])
def test_a_dropped_copy_of_the_query_does_not_leave_zero_to_one(cls):
    # The first column, a copy of another class, is dropped in place of the query.
    metric = cls(k=2, r={1: 2}, drop_closest_lookup=True)
    assert compute(metric, [[F, T, T]], [1], [[0.0, 0.0, 0.3]]) == 1.0


@pytest.mark.parametrize("cls", [PrecisionAtK, MapAtK, NDCG])
def test_more_matches_than_items_are_refused(cls):
    with pytest.raises(ValueError, match=r"r\[1\]=1, and a query .* has 3 matches"):
        compute(cls(k=3, r={1: 1}), [[T, T, T]], [1], [[0.1, 0.2, 0.3]])


def test_clipped_metrics_ask_for_all_of_a_class():
    assert PrecisionAtK(k=3, r={1: 40, 2: 7}, clip_at_r=True).n_needed() == 40
    assert PrecisionAtK(k=3, r={1: 40, 2: 7}).n_needed() == 3
    assert RecallAtK(k=3).n_needed() == 3


def test_graded_relevance_by_hand():
    grades = np.array([[1.0, 0.0, 3.0, 2.0]])
    ideal = 3 + 2 / math.log2(3)
    found = compute(NDCG(k=2), grades, [1], [[0.1, 0.2, 0.3, 0.4]])
    assert found == pytest.approx(1 / ideal)
    metric = NDCG(k=2, gain="exponential")
    found = compute(metric, grades, [1], [[0.1, 0.2, 0.3, 0.4]])
    assert found == pytest.approx(1 / (7 + 3 / math.log2(3)))


def test_ndcg_with_class_sizes_misses_what_was_not_found():
    metric = NDCG(k=3, r={1: 2})
    found = compute(metric, [[T, F, F]], [1], [[0.1, 0.2, 0.3]])
    assert found == pytest.approx(1 / (1 + 1 / math.log2(3)))
    assert compute(BNDCG(k=3), [[T, F, F]], [1], [[0.1, 0.2, 0.3]]) == 1.0


@pytest.mark.parametrize("cls", CLASSES)
def test_comes_back_from_its_config(cls):
    options = {
        "name": "mine",
        "k": 3,
        "distance_threshold": 0.5,
        "drop_closest_lookup": True,
    }
    if cls is not MapAtK:
        options["average"] = "macro"
    if hasattr(cls(), "r"):
        options |= {"r": {1: 4, 2: 3, 5: np.int64(2)}, "clip_at_r": True}
    metric = cls(**options)
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(metric)))
    again = keras.saving.deserialize_keras_object(config)
    assert type(again) is cls
    assert (
        again.get_config()
        == metric.get_config()
        == {
            **metric.get_config(),
            **options,
            **({"r": [[1, 4], [2, 3], [5, 2]]} if "r" in options else {}),
        }
    )
    assert compute(again) == compute(metric)
    assert again.name == metric.name


@pytest.mark.parametrize(
    "metric, name, text",
    [
        (RecallAtK(), "recall@5", "recall@k : recall@5"),
        (PrecisionAtK(k=2), "precision@2", "precision@k : precision@2"),
        (PrecisionAtK(r=R, clip_at_r=True), "precision", "precision@k : precision"),
        (MapAtK(k=7), "map@7", "map@k : map@7"),
        (BNDCG(k=1), "ndcg@1", "ndcg@k : ndcg@1"),
        (MeanReciprocalRank(), "mrr@5", "mrr@k : mrr@5"),
        (NDCG(), "graded_ndcg@5", "graded_ndcg@k : graded_ndcg@5"),
        (RecallAtK("top", "kind"), "top@5", "kind : top@5"),
        (
            BNDCG(distance_threshold=0.5),
            "ndcg@5 : distance_threshold@0.5",
            "ndcg@k : ndcg@5 : distance_threshold@0.5",
        ),
    ],
)
def test_names_are_the_known_ones(metric, name, text):
    assert (metric.name, repr(metric)) == (name, text)


def test_match_mask_by_hand():
    mask = compute_match_mask([[1], [2]], [[1, 2], [1, 2]])
    assert mask.tolist() == [[True, False], [False, True]]
    texts = compute_match_mask(["a", None], [["a", None], ["a", None]])
    assert texts.tolist() == [[True, False], [False, False]]
    numbers = compute_match_mask([-1, None], [[-1, None], [-1, None]])
    assert numbers.tolist() == [[True, False], [False, False]]


def test_string_labels_and_none_average_by_class():
    mask = [[T], [F], [F], [F]]
    found = RecallAtK(k=1, average="macro").compute(
        query_labels=["a", "a", "b", None],
        lookup_labels=[["a"], ["b"], ["a"], [None]],
        lookup_distances=np.zeros((4, 1)),
        match_mask=mask,
    )
    assert isinstance(found, np.float64)
    assert found == pytest.approx((1 / 2 + 0 + 0) / 3)


def test_contract_is_abstract():
    with pytest.raises(TypeError, match="per_query"):
        RetrievalMetric()


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: RecallAtK(average="mean"), "`average` must be 'micro' or 'macro'"),
        (lambda: RecallAtK(k=0), "`k` must be an integer"),
        (lambda: RecallAtK(distance_threshold=math.nan), "`distance_threshold`"),
        (lambda: MapAtK(average="macro"), "`average` of MapAtK must be 'micro'"),
        (lambda: PrecisionAtK(clip_at_r=True), "`clip_at_r=True` needs `r`"),
        (lambda: PrecisionAtK(r=3), "`r` must be the number of items"),
        (lambda: PrecisionAtK(r={1: -1}), "`r` must hold counts"),
        (lambda: NDCG(gain="cubic"), "`gain` must be 'linear' or"),
        (lambda: compute(RecallAtK(k=6)), "recall@6 needs at least k=6 neighbours"),
        (lambda: compute(RecallAtK(), MASK, [1, 2, 1], [[0.0]]), "the same shape"),
        (
            lambda: compute(
                RecallAtK(k=1, drop_closest_lookup=True), [[T]], [1], [[0]]
            ),
            "leaves nothing of one column",
        ),
        (lambda: compute(PrecisionAtK(r={1: 2})), "Missing: 2"),
        (
            lambda: compute(PrecisionAtK(r={1: 9, 2: 1}, clip_at_r=True)),
            "needs R neighbours",
        ),
        (lambda: compute(RecallAtK(k=1), [[0.5]], [1], [[0.0]]), "`NDCG` takes those"),
        (lambda: compute(NDCG(k=1), [[-1.0]], [1], [[0.0]]), "grades of at least 0"),
        (
            lambda: RecallAtK(k=1).compute(
                query_labels=[1, 2],
                lookup_labels=[[1]],
                lookup_distances=[[0.0]],
                match_mask=[[T]],
            ),
            "`query_labels` must hold one label",
        ),
        (
            lambda: RecallAtK(k=1).compute(
                query_labels=[],
                lookup_labels=np.zeros((0, 1), int),
                lookup_distances=np.zeros((0, 1)),
                match_mask=np.zeros((0, 1), bool),
            ),
            "at least one query",
        ),
        (
            lambda: RecallAtK(k=1).compute(
                query_labels=[1],
                lookup_labels=[[1]],
                lookup_distances=[[0.0]],
                match_mask=[T],
            ),
            "`match_mask` must be of shape",
        ),
        (lambda: compute(RecallAtK(k=1), [[T]], [1], [[np.nan]]), "or NaN among them"),
        (lambda: RecallAtK(distance_threshold=None), "`distance_threshold` must be a"),
        (
            lambda: compute(NDCG(k=1, gain="exponential"), [[2000.0]], [1], [[0.1]]),
            "grades of at most 1000",
        ),
        (lambda: PrecisionAtK(r={1: 2.7}), "`r` must be the number of items"),
        (lambda: compute_match_mask([1], [[1], [2, 3]]), "rows of unequal length"),
        (lambda: compute_match_mask([1], [1, 2]), "or no rows"),
        (lambda: compute_match_mask([1], np.zeros(3, int)), r"shape=\(3,\)"),
    ],
)
def test_bad_input_is_named(make, words):
    with pytest.raises((ValueError, TypeError), match=words):
        make()


def test_labels_of_two_kinds_are_refused():
    with pytest.raises(TypeError, match="lookup_labels are strings"):
        compute_match_mask([1], [["a"]])
