"""`evaluate_retrieval` against a reading of its formulas in plain float64 loops."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tensorflow_similarity.evaluators import (
    bootstrap_interval,
    evaluate_retrieval,
    retrieval_ranking,
)

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


@pytest.fixture(params=["searched", "compared"])
def road(request, monkeypatch):
    """Neighbours by search, or from all distances as where many are needed."""
    if request.param == "compared":
        monkeypatch.setattr(retrieval_ranking, "_SHALLOW", 0)


def clusters(seed, n, n_classes, dim=6, spread=1.0):
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, n_classes, n)
    centres = generator.normal(size=(n_classes, dim))
    return centres[labels] + spread * generator.normal(size=(n, dim)), labels


@pytest.mark.parametrize("distance", DISTANCES)
def test_agrees_with_the_definitions(distance, road):
    items, labels = clusters(0, 60, 7)
    found = evaluate_retrieval(items, labels, distance=distance, k=(1, 3, 10))
    expected = reference(items, labels, distance=distance, ks=(1, 3, 10))
    assert_same(found, expected)
    assert 0.05 < found["mean_average_precision_at_r"] < found["recall_at_10"] < 1.01


@pytest.mark.parametrize("distance", DISTANCES)
def test_agrees_with_the_definitions_for_queries_of_their_own(distance, road):
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
        expected = reference(items, labels, distance=distance, ks=(1, 2, 5))
        for shallow in (64, 0):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(retrieval_ranking, "_SHALLOW", shallow)
                found = evaluate_retrieval(
                    items, labels, distance=distance, k=(1, 2, 5), intervals=True
                )
            assert all(0 <= v <= 1 for n, v in found.items() if n[:2] != "n_")
            found = {n: v for n, v in found.items() if n[-4:] not in ("_low", "high")}
            assert_same(found, expected)


def test_worked_by_hand(road):
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


def test_block_size_does_not_matter(road):
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


def test_item_is_left_out_by_position_so_its_duplicate_still_counts(road):
    items = [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]
    assert evaluate_retrieval(items, [0, 0, 1, 1])["precision_at_1"] == 1.0
    assert evaluate_retrieval(items, [0, 1, 0, 1])["precision_at_1"] == 0.0


def test_more_duplicates_than_neighbours_asked_for(road):
    # 30 items at one place: an item's own id need not be among its k + 1 nearest.
    items, labels = np.ones((30, 3)), [0, 0] + list(range(1, 29))
    found = evaluate_retrieval(items, labels, distance="euclidean", k=2)
    expected = reference(items, labels, distance="euclidean", ks=(1, 2))
    assert_same(found, expected)


def test_lone_queries_leave_every_mean_and_are_counted(road):
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
def test_items_without_a_label_are_relevant_to_nothing(labels, road):
    items = [[0.0], [1.0], [0.4], [0.6]]
    found = evaluate_retrieval(items, labels, distance="euclidean", k=1)
    assert found["n_lone_queries"] == 2
    # 0.4 and 0.6 stand between the two that belong together.
    assert found["precision_at_1"] == 0.0


def test_fewer_items_than_k_divides_by_what_there_is(road):
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


def test_snr_agrees_on_both_roads(monkeypatch):
    items, labels = clusters(7, 60, 7)
    searched = evaluate_retrieval(items, labels, distance="snr")
    monkeypatch.setattr(retrieval_ranking, "_SHALLOW", 0)
    assert_same(evaluate_retrieval(items, labels, distance="snr"), searched)


def test_classes_of_unequal_size_take_both_roads(monkeypatch):
    items, labels = clusters(8, 90, 3)
    labels[:40] = 7
    expected = reference(items, labels, distance="euclidean", ks=(1, 4))
    monkeypatch.setattr(retrieval_ranking, "_SHALLOW", 25)
    found = evaluate_retrieval(items, labels, distance="euclidean", k=4)
    assert_same(found, expected)


def test_macro_is_the_mean_over_classes(road):
    items, labels = clusters(9, 60, 5)
    labels[:20] = 0
    found = evaluate_retrieval(items, labels, average="macro", per_class=True)
    table = found.pop("per_class")
    assert table.classes.tolist() == [0, 1, 2, 3, 4]
    assert table.n_queries.sum() == 60
    for name, values in table.metrics.items():
        assert found[name] == pytest.approx(values.mean(), abs=1e-12)
    # One class at a time: the others stay, without being asked for.
    for i in range(5):
        kept = labels == i
        alone = evaluate_retrieval(
            items,
            labels,
            items[kept],
            labels[kept],
            ids=range(60),
            query_ids=np.flatnonzero(kept),
        )
        for name, values in table.metrics.items():
            assert alone[name] == pytest.approx(values[i], abs=1e-12), name
    micro = evaluate_retrieval(items, labels)
    assert micro["precision_at_1"] != pytest.approx(found["precision_at_1"])


def test_table_of_classes_prints_and_becomes_a_frame():
    items, labels = [[0.0], [1.0], [2.5], [5.0], [9.0]], ["a", "a", "b", "b", "c"]
    found = evaluate_retrieval(items, labels, k=1, per_class=True, distance="euclidean")
    table = found["per_class"]
    lines = str(table).splitlines()
    assert lines[0].split()[:3] == ["class", "n_queries", "precision_at_1"]
    assert lines[1].split()[:3] == ["a", "2", "1.0000"]
    assert lines[2].split()[:3] == ["b", "2", "0.5000"]
    # The class of one was no query.
    assert lines[3].split()[:3] == ["c", "0", "nan"]
    assert len({len(line) for line in lines}) == 1
    assert found["n_lone_queries"] == 1
    frame = table.to_data_frame()
    assert frame["class"].tolist() == ["a", "b", "c"]
    assert frame["precision_at_1"].tolist()[:2] == [1.0, 0.5]


def test_long_table_of_classes_is_cut():
    items, labels = np.arange(160.0)[:, None], np.arange(160) // 2
    table = evaluate_retrieval(items, labels, per_class=True, distance="euclidean")[
        "per_class"
    ]
    assert len(table) == 80
    assert str(table).endswith("... and 20 more classes")


def test_several_labels_an_item_share_one_to_be_relevant(road):
    random = np.random.default_rng(10)
    items, sets = random.normal(size=(30, 4)), random.random((30, 5)) < 0.25
    sets[3] = False
    found = evaluate_retrieval(items, sets, k=(1, 5), per_class=True, average="macro")
    table = found.pop("per_class")
    rows = []
    for i in range(30):
        others = [j for j in range(30) if j != i]
        others.sort(key=lambda j: DISTANCES["cosine"](items[i], items[j]))
        right = [bool((sets[i] & sets[j]).any()) for j in others]
        rows.append((sum(right[:5]) / 5, any(right)))
    for c in range(5):
        mine = [p for (p, judged), s in zip(rows, sets, strict=True) if s[c] and judged]
        assert table.metrics["precision_at_5"][c] == pytest.approx(np.mean(mine))
    assert found["precision_at_5"] == pytest.approx(
        np.mean(table.metrics["precision_at_5"])
    )
    assert found["n_lone_queries"] == 30 - sum(judged for _, judged in rows)


def test_one_label_an_item_as_a_matrix_is_the_same(road):
    items, labels = clusters(11, 40, 5)
    queries, query_labels = clusters(12, 15, 5)
    eye = np.eye(5, dtype=int)
    expected = evaluate_retrieval(items, labels, queries, query_labels)
    found = evaluate_retrieval(items, eye[labels], queries, eye[query_labels])
    assert_same(found, expected)
    assert_same(
        evaluate_retrieval(items, eye[labels]), evaluate_retrieval(items, labels)
    )


def test_graded_relevance_by_hand(road):
    # The query at 0 ranks 1, 2, 4; their grades are 1, 0, 3.
    found = evaluate_retrieval(
        [[1.0], [2.0], [4.0]],
        query_embeddings=[[0.0]],
        relevance=[[1, 0, 3]],
        distance="euclidean",
        k=(2, 3),
    )
    s = 1 / np.log2(3)
    assert found["ndcg_at_1"] == pytest.approx(1 / 3)
    assert found["ndcg_at_2"] == pytest.approx(1 / (3 + s))
    assert found["ndcg_at_3"] == pytest.approx((1 + 3 / 2) / (3 + s))
    assert found["precision_at_2"] == found["r_precision"] == 0.5


def test_relevance_may_be_a_function_and_labels_are_its_plain_case(road):
    items, labels = clusters(13, 40, 5)
    same = (labels[:, None] == labels).astype(float)
    expected = evaluate_retrieval(items, labels)
    assert_same(evaluate_retrieval(items, relevance=same), expected)
    asked = []

    def relevance(block):
        asked.append(len(block))
        return same[block]

    found = evaluate_retrieval(items, relevance=relevance, batch_size=7)
    assert_same(found, expected)
    assert max(asked[1:]) <= 7


def test_queries_that_are_indexed_are_left_out_by_id(road):
    items, labels = clusters(14, 40, 4)
    names = np.array([f"item {i}" for i in range(40)])
    order = np.random.default_rng(0).permutation(40)
    found = evaluate_retrieval(
        items, labels, items[order], labels[order], ids=names, query_ids=names[order]
    )
    assert_same(found, evaluate_retrieval(items, labels))
    itself = evaluate_retrieval(items, labels, items, labels)
    assert itself["precision_at_1"] == 1.0
    # Half of the queries are new.
    names[:20] = [f"new {i}" for i in range(20)]
    known = [f"item {i}" for i in range(40)]
    mixed = evaluate_retrieval(
        items, labels, items, labels, ids=known, query_ids=names, k=1
    )
    old = evaluate_retrieval(
        items, labels, items[20:], labels[20:], ids=known, query_ids=names[20:], k=1
    )
    assert mixed["precision_at_1"] == pytest.approx((1 + old["precision_at_1"]) / 2)


def test_whole_ranking_by_hand():
    # a at 0 ranks b a b a: precision 1/2 and 2/4 at its two.
    found = evaluate_retrieval(
        [[1.0], [2.0], [4.0], [8.0]],
        ["b", "a", "b", "a"],
        [[0.0]],
        ["a"],
        distance="euclidean",
        whole_ranking=True,
    )
    assert found["mean_average_precision"] == 0.5
    assert found["mean_average_precision_at_r"] == 0.25


def test_first_relevant_item_beyond_what_was_looked_at_counts():
    items = np.arange(1.0, 301.0)[:, None]
    labels = np.zeros(300, int)
    labels[249] = 1
    found = evaluate_retrieval(items, labels, [[0.0]], [1], distance="euclidean", k=1)
    assert found["mean_reciprocal_rank"] == pytest.approx(1 / 250)


def test_intervals_are_the_bootstrap_of_the_queries():
    items, labels = clusters(15, 60, 4)
    found = evaluate_retrieval(items, labels, k=1, intervals=True, confidence=0.8)
    hits = []
    for i in range(60):
        alone = evaluate_retrieval(
            items, labels, items[[i]], labels[[i]], ids=range(60), query_ids=[i], k=1
        )
        hits.append(alone["precision_at_1"])
    expected = bootstrap_interval(hits, confidence=0.8)
    ends = found["precision_at_1_low"], found["precision_at_1_high"]
    assert ends == pytest.approx(expected, abs=1e-12)
    assert ends[0] < found["precision_at_1"] < ends[1]


def test_intervals_of_macro_lie_around_macro():
    items, labels = clusters(16, 80, 4)
    labels[:40] = 0
    found = evaluate_retrieval(items, labels, average="macro", intervals=True)
    assert found["r_precision_low"] < found["r_precision"] < found["r_precision_high"]


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
        ([ITEMS, LABELS], {"average": "mean"}, ValueError, "`average` must be"),
        ([ITEMS, LABELS], {"confidence": 95}, ValueError, "`confidence` must be"),
        ([ITEMS, [[0, 2], [1, 0], [1, 1]]], {}, ValueError, "must hold 0 and 1"),
        ([ITEMS, [[0, 1], [1, 0]]], {}, ValueError, "must hold 0 and 1"),
        (
            [ITEMS, [[0, 1], [1, 0], [1, 1]], ITEMS, LABELS],
            {},
            ValueError,
            "`query_labels` must be a matrix",
        ),
        ([ITEMS, LABELS], {"relevance": np.eye(3)}, ValueError, "in place of labels"),
        ([ITEMS], {"relevance": np.eye(2)}, ValueError, "`relevance` must be numbers"),
        ([ITEMS], {"relevance": -np.eye(3)}, ValueError, "of at least 0"),
        (
            [ITEMS],
            {"relevance": np.ones((3, 3)), "average": "macro"},
            ValueError,
            "by class need labels",
        ),
        ([ITEMS, LABELS], {"ids": [1, 2, 3]}, ValueError, "`ids` and `query_ids`"),
        (
            [ITEMS, LABELS, ITEMS, LABELS],
            {"ids": [1, 2, 3], "query_ids": ["1", "2", "3"]},
            TypeError,
            "ids are integers, query_ids are strings",
        ),
        ([ITEMS, LABELS], {"seed": -1}, ValueError, "`seed` must be an integer"),
        (
            [ITEMS, LABELS, ITEMS, LABELS],
            {"ids": [1, 1, 3], "query_ids": [1, 2, 3]},
            ValueError,
            "`ids` must be distinct",
        ),
    ],
)
def test_bad_input_is_named(arguments, options, error, words):
    with pytest.raises(error, match=words):
        evaluate_retrieval(*arguments, **options)
