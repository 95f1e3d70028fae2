"""`evaluate_retrieval` against a reading of its formulas in plain float64 loops."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tensorflow_similarity.evaluators import evaluate_retrieval

pytestmark = pytest.mark.backend_smoke

DISTANCES = {
    "euclidean": lambda q, x: np.sqrt(((q - x) ** 2).sum()),
    "squared_euclidean": lambda q, x: ((q - x) ** 2).sum(),
    "manhattan": lambda q, x: np.abs(q - x).sum(),
    "inner_product": lambda q, x: -(q * x).sum(),
    "cosine": lambda q, x: 1 - (q * x).sum() / np.sqrt((q**2).sum() * (x**2).sum()),
}


def reference(items, labels, queries=None, query_labels=None, *, distance, ks):
    """The definitions, query by query, in loops."""
    alone = queries is None
    queries, query_labels = (items, labels) if alone else (queries, query_labels)
    items, queries = np.asarray(items, "float64"), np.asarray(queries, "float64")
    rows = []
    for i, query in enumerate(queries):
        others = [j for j in range(len(items)) if not (alone and j == i)]
        others.sort(key=lambda j: (DISTANCES[distance](query, items[j]), j))
        right = [labels[j] is not None and labels[j] == query_labels[i] for j in others]
        r = sum(right)
        if r == 0:
            continue
        row = {}
        for k in ks:
            near = right[:k]
            row[f"precision_at_{k}"] = sum(near) / len(near)
            row[f"recall_at_{k}"] = float(any(near))
            best = sum(1 / np.log2(j + 2) for j in range(min(r, k)))
            found = sum(1 / np.log2(j + 2) for j, hit in enumerate(near) if hit)
            row[f"ndcg_at_{k}"] = found / best
        row["mean_reciprocal_rank"] = 1 / (1 + right.index(True))
        row["r_precision"] = sum(right[:r]) / r
        row["mean_average_precision_at_r"] = (
            sum(sum(right[: j + 1]) / (j + 1) for j in range(r) if right[j]) / r
        )
        rows.append(row)
    means = {name: np.mean([row[name] for row in rows]) for name in rows[0]}
    return means | {
        "n_queries": len(queries),
        "n_lone_queries": len(queries) - len(rows),
    }


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert isinstance(found[name], float)
        assert found[name] == pytest.approx(value, abs=1e-12), name


def clusters(seed, n, n_classes, dim=6, spread=1.0):
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, n_classes, n)
    centres = generator.normal(size=(n_classes, dim))
    return centres[labels] + spread * generator.normal(size=(n, dim)), labels


@pytest.mark.parametrize("distance", DISTANCES)
def test_agrees_with_the_definitions(distance):
    items, labels = clusters(0, 60, 7)
    found = evaluate_retrieval(items, labels, distance=distance, k=(1, 3, 10))
    expected = reference(items, labels, distance=distance, ks=(1, 3, 10))
    assert_same(found, expected)
    assert 0.05 < found["mean_average_precision_at_r"] < found["recall_at_10"] < 1.01


@pytest.mark.parametrize("distance", DISTANCES)
def test_agrees_with_the_definitions_for_queries_of_their_own(distance):
    items, labels = clusters(1, 50, 6)
    queries, query_labels = clusters(2, 23, 8)
    found = evaluate_retrieval(
        items, labels, queries, query_labels, distance=distance, k=(1, 5)
    )
    expected = reference(
        items, labels, queries, query_labels, distance=distance, ks=(1, 5)
    )
    assert_same(found, expected)
    assert found["n_lone_queries"] > 0


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_agrees_where_items_coincide_and_distances_tie(data):
    # Small integers: float32 holds every distance exactly, so ties are true ties.
    n = data.draw(st.integers(2, 14))
    rows = st.lists(st.integers(0, 2), min_size=2, max_size=2)
    items = np.array(data.draw(st.lists(rows, min_size=n, max_size=n)))
    labels = data.draw(st.lists(st.integers(0, 3), min_size=n, max_size=n))
    labels[0] = labels[-1]
    for distance in ("squared_euclidean", "manhattan"):
        found = evaluate_retrieval(items, labels, distance=distance, k=(1, 2, 5))
        expected = reference(items, labels, distance=distance, ks=(1, 2, 5))
        assert_same(found, expected)


def test_worked_by_hand():
    # On a line: a0 at 0, b0 at 1, a1 at 3, a2 at 7, b1 at 12.
    #   a0 ranks b0 a1 a2 b1: R 2, right 0 1 1 0: P@1 0, RP 1/2, AP (1/2) / 2
    #   b0 ranks a0 a1 a2 b1: R 1, right 0 0 0 1: P@1 0, RP 0,   AP 0
    #   a1 ranks b0 a0 a2 b1: R 2, right 0 1 1 0: P@1 0, RP 1/2, AP (1/2) / 2
    #   a2 ranks a1 b1 b0 a0: R 2, right 1 0 0 1: P@1 1, RP 1/2, AP 1 / 2
    #   b1 ranks a2 a1 b0 a0: R 1, right 0 0 1 0: P@1 0, RP 0,   AP 0
    s = 1 / np.log2(3)  # what the second place counts
    found = evaluate_retrieval(
        [[0.0], [1.0], [3.0], [7.0], [12.0]],
        ["a", "b", "a", "a", "b"],
        distance="euclidean",
        k=3,
    )
    assert_same(
        found,
        {
            "precision_at_1": 1 / 5,
            "precision_at_3": (2 / 3 + 0 + 2 / 3 + 1 / 3 + 1 / 3) / 5,
            "recall_at_1": 1 / 5,
            "recall_at_3": 4 / 5,
            "r_precision": (1 / 2 + 1 / 2 + 1 / 2) / 5,
            "mean_average_precision_at_r": (1 / 4 + 1 / 4 + 1 / 2) / 5,
            "ndcg_at_1": 1 / 5,
            "ndcg_at_3": (2 * (s + 1 / 2) / (1 + s) + 1 / (1 + s) + 1 / 2) / 5,
            "mean_reciprocal_rank": (1 / 2 + 1 / 4 + 1 / 2 + 1 + 1 / 3) / 5,
            "n_queries": 5,
            "n_lone_queries": 0,
        },
    )


def test_block_size_does_not_matter():
    items, labels = clusters(3, 40, 5)
    whole = evaluate_retrieval(items, labels)
    for batch_size in (1, 7, 1000):
        assert_same(evaluate_retrieval(items, labels, batch_size=batch_size), whole)


def test_blocks_by_memory_agree_with_one_block(monkeypatch):
    from tensorflow_similarity.evaluators import retrieval_blocks

    items, labels = clusters(3, 40, 5)
    whole = evaluate_retrieval(items, labels)
    monkeypatch.setattr(retrieval_blocks, "_BLOCK_NEIGHBOURS", 50)
    assert_same(evaluate_retrieval(items, labels), whole)


def test_order_of_items_and_names_of_classes_do_not_matter():
    items, labels = clusters(4, 40, 5)
    expected = evaluate_retrieval(items, labels)
    order = np.random.default_rng(0).permutation(40)
    names = np.array([f"class {9 - label}" for label in labels])
    assert_same(evaluate_retrieval(items[order], names[order]), expected)


def test_item_is_left_out_by_position_so_its_duplicate_still_counts():
    items = [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]
    assert evaluate_retrieval(items, [0, 0, 1, 1])["precision_at_1"] == 1.0
    assert evaluate_retrieval(items, [0, 1, 0, 1])["precision_at_1"] == 0.0


def test_more_duplicates_than_neighbours_asked_for():
    # 30 items at one place: an item's own id need not be among its k + 1 nearest.
    items, labels = np.ones((30, 3)), [0, 0] + list(range(1, 29))
    found = evaluate_retrieval(items, labels, distance="euclidean", k=2)
    expected = reference(items, labels, distance="euclidean", ks=(1, 2))
    assert_same(found, expected)


def test_lone_queries_leave_every_mean_and_are_counted():
    items, labels = clusters(5, 30, 3)
    # The lone items are far away, so they change nobody's ranking.
    far = np.full((2, items.shape[1]), 1e3) * [[1.0], [-1.0]]
    without = evaluate_retrieval(items, labels, distance="euclidean")
    found = evaluate_retrieval(
        np.concatenate([items, far]), [*labels, 100, 101], distance="euclidean"
    )
    assert found["n_lone_queries"] == 2
    assert found["n_queries"] == 32
    for name in without.keys() - {"n_queries", "n_lone_queries"}:
        assert found[name] == pytest.approx(without[name])


@pytest.mark.parametrize("labels", [[0, 0, None, None], ["a", "a", None, None]])
def test_items_without_a_label_are_relevant_to_nothing(labels):
    items = [[0.0], [1.0], [0.4], [0.6]]
    found = evaluate_retrieval(items, labels, distance="euclidean", k=1)
    assert found["n_lone_queries"] == 2
    # 0.4 and 0.6 stand between the two that belong together.
    assert found["precision_at_1"] == 0.0


def test_fewer_items_than_k_divides_by_what_there_is():
    found = evaluate_retrieval([[0.0], [1.0], [9.0]], [0, 0, 0], k=50)
    assert found["precision_at_50"] == found["recall_at_50"] == 1.0


def test_labels_beyond_float_precision_stay_apart():
    big = 2**53
    found = evaluate_retrieval(
        [[0.0], [1.0], [10.0], [11.0]],
        [big, big, big + 1, big + 1],
        distance="euclidean",
    )
    assert found["mean_average_precision_at_r"] == 1.0


def test_labels_may_be_a_column():
    items, labels = clusters(6, 20, 3)
    expected = evaluate_retrieval(items, labels)
    assert_same(evaluate_retrieval(items, labels[:, None].astype("uint8")), expected)


def test_takes_a_distance_object():
    from tensorflow_similarity import distances

    items, labels = clusters(6, 20, 3)
    expected = evaluate_retrieval(items, labels, distance="manhattan")
    distance = distances.get("manhattan")
    assert_same(evaluate_retrieval(items, labels, distance=distance), expected)


def test_shows_progress_only_when_asked(capfd):
    items, labels = clusters(6, 20, 3)
    evaluate_retrieval(items, labels)
    assert capfd.readouterr() == ("", "")
    evaluate_retrieval(items, labels, verbose=1)
    assert "Evaluating retrieval" in capfd.readouterr().err


ITEMS, LABELS = [[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], [0, 0, 1]


@pytest.mark.parametrize(
    "arguments, options, error, words",
    [
        ([[[0.0, np.nan]] * 3, LABELS], {}, ValueError, "NaN"),
        ([[0.0, 1.0], LABELS], {}, ValueError, r"`embeddings` must have shape"),
        ([[[0.0], [1.0, 2.0]], [0, 0]], {}, ValueError, "unequal length"),
        ([ITEMS, [0, 0]], {}, ValueError, r"`labels` must hold one label for each"),
        ([ITEMS, [0.5, 0.5, 1]], {}, TypeError, "`labels` must be integers"),
        ([ITEMS, LABELS, [[1.0]], [0]], {}, ValueError, r"query_embeddings.*\(n, 2\)"),
        ([ITEMS, LABELS, ITEMS], {}, ValueError, "belong together"),
        ([ITEMS, LABELS, None, LABELS], {}, ValueError, "belong together"),
        ([ITEMS, LABELS, ITEMS, [0]], {}, ValueError, "`query_labels` must hold one"),
        ([ITEMS, LABELS, ITEMS, ["a"] * 3], {}, TypeError, "query_labels are strings"),
        ([ITEMS, LABELS], {"k": 0}, ValueError, "`k` must be an integer of at least 1"),
        ([ITEMS, LABELS], {"k": (1, 2.5)}, ValueError, "`k` must be an integer"),
        ([ITEMS, LABELS], {"k": True}, ValueError, "`k` must be an integer"),
        ([ITEMS, LABELS], {"batch_size": 0}, ValueError, "`batch_size` must be"),
        ([ITEMS, LABELS], {"distance": "lightyears"}, ValueError, "cosine"),
        ([ITEMS[:1], [0]], {}, ValueError, "no item is its own neighbour"),
        ([np.empty((0, 2)), [], ITEMS, LABELS], {}, ValueError, "nothing to search"),
        ([ITEMS, LABELS, np.empty((0, 2)), []], {}, ValueError, "0 queries"),
        ([ITEMS, [0, 1, 2]], {}, ValueError, "that two items share"),
        ([ITEMS, LABELS, ITEMS, [7, 8, 9]], {}, ValueError, "a query and an item"),
        ([ITEMS, [None] * 3], {}, ValueError, "that two items share"),
    ],
)
def test_bad_input_is_named(arguments, options, error, words):
    with pytest.raises(error, match=words):
        evaluate_retrieval(*arguments, **options)
