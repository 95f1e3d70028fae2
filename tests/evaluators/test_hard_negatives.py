"""Hard negatives and confused classes, against plain loops."""

import sys

import numpy as np
import pytest

from tensorflow_similarity.evaluators import class_confusion, mine_hard_negatives
from tensorflow_similarity.search import LinearSearch, NMSLibSearch
from tensorflow_similarity.types import Lookup, Lookups


def cosine(a, b):
    """Of one row with one or with many, in float64."""
    a, b = np.float64(a), np.float64(b)
    return (b @ a / np.linalg.norm(a) / np.linalg.norm(b, axis=-1)).tolist()


def negative_distance(a, b):
    return (-np.linalg.norm(np.float64(a) - np.float64(b), axis=-1)).tolist()


def mined(
    items,
    pairs,
    score,
    excluded,
    anchors,
    n,
    start,
    stop,
    relative=None,
    absolute=None,
    low=None,
    high=None,
):
    """The negatives of each pair, from the definition, in loops."""
    answer = []
    for a, p in pairs:
        scores = score(anchors[a], items)
        ranked = sorted(
            (j for j in range(len(items)) if j not in excluded[a]),
            key=lambda j: (-scores[j], j),
        )
        passed = []
        for j in ranked[start:stop]:
            s, own = scores[j], None if p < 0 else scores[p]
            if high is not None and s > high or low is not None and s < low:
                continue
            if (relative is not None or absolute is not None) and own is None:
                continue
            if absolute is not None and s > own - absolute:
                continue
            if relative is not None and s > own - relative * abs(own):
                continue
            passed.append(j)
        answer.append(passed[:n] + [-1] * (n - len(passed)))
    return answer


def data(n, n_classes, seed, dim=5):
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, n_classes, n)
    x = generator.normal(size=(n_classes, dim))[labels]
    return (x + generator.normal(size=(n, dim))).astype(np.float32), labels


@pytest.mark.parametrize(
    ("arguments", "loops"),
    [
        ({}, {"start": 0, "stop": 3}),
        ({"range_min": 4}, {"start": 4, "stop": 7}),
        ({"range_min": 1, "range_max": 9}, {"start": 1, "stop": 9}),
        ({"relative_margin": 0.1}, {"start": 0, "stop": 30, "relative": 0.1}),
        ({"absolute_margin": 0.2}, {"start": 0, "stop": 30, "absolute": 0.2}),
        (
            {"max_score": 0.6, "min_score": 0.2, "range_max": 40},
            {"start": 0, "stop": 40, "low": 0.2, "high": 0.6},
        ),
        (
            {"max_score": 0.7, "absolute_margin": 0.05, "relative_margin": 0.3},
            {"start": 0, "stop": 30, "high": 0.7, "absolute": 0.05, "relative": 0.3},
        ),
    ],
)
@pytest.mark.parametrize("n_classes", [3, 40])
def test_by_labels_it_is_what_the_loops_find(arguments, loops, n_classes):
    """3 classes of about 80 are searched class by class, 40 of about 6 together."""
    items, labels = data(240, n_classes, 1)
    labels[5] = 99  # alone in its class
    found = mine_hard_negatives(items, labels, **arguments)
    scores = [cosine(a, items) for a in items]
    pairs, excluded = [], []
    for i in range(len(items)):
        same = [j for j in range(len(items)) if labels[j] == labels[i]]
        others = [j for j in same if j != i]
        pairs.append((i, max(others, key=lambda j: scores[i][j], default=-1)))
        excluded.append(set(same))
    wanted = mined(items, pairs, cosine, excluded, items, 3, **loops)
    assert found.anchors.tolist() == list(range(240))
    assert found.positives.tolist() == [p for _, p in pairs]
    assert found.negatives.tolist() == wanted
    assert found.n_short == sum(-1 in row for row in wanted)


def test_queries_and_items_by_labels_and_another_distance():
    items, labels = data(150, 2, 2)
    anchors, asked = data(20, 3, 3)
    names = np.array([f"class {i}" for i in range(3)], object)
    given = list(names[labels])
    given[0] = None
    found = mine_hard_negatives(
        items,
        given,
        query_embeddings=anchors,
        query_labels=names[asked],
        distance="euclidean",
        relative_margin=0.2,
        n_negatives=2,
    )
    pairs, excluded = [], []
    for a in range(20):
        same = {j for j in range(1, 150) if labels[j] == asked[a]}
        best = max(
            same, key=lambda j: negative_distance(anchors[a], items[j]), default=-1
        )
        pairs.append((a, best))
        excluded.append(same | {0})
    wanted = mined(
        items, pairs, negative_distance, excluded, anchors, 2, 0, 20, relative=0.2
    )
    assert found.positives.tolist() == [p for _, p in pairs]
    assert found.negatives.tolist() == wanted
    assert (found.positives == -1).any() and (found.negatives >= 0).any()


def test_pairs_keep_all_positives_of_an_anchor_out():
    items, _ = data(60, 4, 4)
    anchors, _ = data(9, 4, 5)
    pairs = np.array([[0, 7], [0, 9], [3, 7], [8, 0], [0, 30]])
    found = mine_hard_negatives(
        items, query_embeddings=anchors, positives=pairs, absolute_margin=0.1
    )
    excluded = {a: {p for b, p in pairs.tolist() if b == a} for a in range(9)}
    wanted = mined(
        items, pairs.tolist(), cosine, excluded, anchors, 3, 0, 30, absolute=0.1
    )
    assert found.negatives.tolist() == wanted
    np.testing.assert_array_equal(found.anchors, pairs[:, 0])
    np.testing.assert_array_equal(found.positives, pairs[:, 1])
    one_each = mine_hard_negatives(items, positives=np.roll(np.arange(60), 1))
    excluded = {a: {a, (a - 1) % 60} for a in range(60)}
    pairs = [(a, (a - 1) % 60) for a in range(60)]
    assert one_each.negatives.tolist() == mined(
        items, pairs, cosine, excluded, items, 3, 0, 3
    )


@pytest.mark.parametrize("kind", [LinearSearch, NMSLibSearch])
def test_a_given_search_goes_deeper_until_negatives_come(kind):
    items, labels = data(400, 2, 6)
    items[labels == 0] += 50.0  # hundreds of its own class are nearer
    search = kind("euclidean", 5)
    search.batch_add(items, np.arange(400))
    found = mine_hard_negatives(items, labels, search=search)
    wanted = mine_hard_negatives(items, labels, distance="euclidean")
    np.testing.assert_array_equal(found.negatives, wanted.negatives)
    assert found.n_short == 0


def test_table_of_scores():
    items, labels = data(50, 5, 7)
    found = mine_hard_negatives(
        items, labels, absolute_margin=0.3, range_min=2, return_scores=True
    )
    table = found.scores
    assert {len(column) for column in table.values()} == {(found.negatives >= 0).sum()}
    for a, p, n, own, score, rank in zip(
        *(
            table[name].tolist()
            for name in (
                "anchor",
                "positive",
                "negative",
                "positive_score",
                "negative_score",
                "rank",
            )
        ),
        strict=True,
    ):
        assert score == pytest.approx(cosine(items[a], items[n]), abs=1e-6)
        assert own == pytest.approx(cosine(items[a], items[p]), abs=1e-6)
        others = [j for j in range(50) if labels[j] != labels[a]]
        assert rank == sum(cosine(items[a], items[j]) > score + 1e-7 for j in others)
        assert score <= own - 0.3 + 1e-6 and rank >= 2
    assert found.triplets().tolist() == [
        list(row)
        for row in zip(
            *(table[name].tolist() for name in ("anchor", "positive", "negative")),
            strict=True,
        )
    ]
    assert mine_hard_negatives(items, labels).scores is None
    assert "n_pairs=50, n_negatives=3" in repr(found)


def test_random_ones_come_from_the_range_and_by_seed():
    items, labels = data(80, 4, 8)
    ranked = mine_hard_negatives(items, labels, n_negatives=20).negatives
    arguments = {"sampling": "random", "range_min": 3, "range_max": 20}
    found = mine_hard_negatives(items, labels, **arguments, seed=1)
    again = mine_hard_negatives(items, labels, **arguments, seed=1)
    np.testing.assert_array_equal(found.negatives, again.negatives)
    other = mine_hard_negatives(items, labels, **arguments, seed=2)
    assert (found.negatives != other.negatives).any()
    for row, order in zip(found.negatives.tolist(), ranked.tolist(), strict=True):
        ranks = [order.index(j) for j in row]
        assert ranks == sorted(set(ranks)) and min(ranks) >= 3
    drawn = [
        list(r).index(j)
        for row, r in zip(found.negatives, ranked, strict=True)
        for j in row
    ]
    assert len(set(drawn)) == 17


def test_too_few_items_are_counted():
    found = mine_hard_negatives([[0.0], [1.0], [2.0]], [1, 1, 2], distance="euclidean")
    assert found.negatives.tolist() == [[2, -1, -1], [2, -1, -1], [1, 0, -1]]
    assert found.n_short == 3
    assert found.triplets().tolist() == [[0, 1, 2], [1, 0, 2]]


def test_blocks_do_not_matter(monkeypatch):
    from tensorflow_similarity.evaluators import hard_negatives_search

    items, labels = data(200, 2, 9)
    labels[::7] = 5
    arguments = {"labels": labels, "relative_margin": 0.05}
    whole = mine_hard_negatives(items, **arguments)
    monkeypatch.setattr(hard_negatives_search, "_BLOCK_NEIGHBOURS", 700)
    parts = mine_hard_negatives(items, **arguments)
    np.testing.assert_array_equal(whole.negatives, parts.negatives)
    np.testing.assert_array_equal(whole.positives, parts.positives)


def test_mining_refuses_what_it_cannot_do():
    items, labels = data(12, 2, 10)
    for arguments, message in (
        ({}, "needs `labels` or `positives`"),
        ({"labels": labels[:5]}, "one label for each item"),
        ({"labels": labels, "n_negatives": 0}, "`n_negatives` must be an integer"),
        ({"labels": labels, "range_min": -1}, "`range_min` must be an integer"),
        ({"labels": labels, "range_max": 2}, "`range_max` must be at least"),
        ({"labels": labels, "relative_margin": -0.1}, "`relative_margin` must be"),
        ({"labels": labels, "absolute_margin": np.nan}, "`absolute_margin` must be"),
        ({"labels": labels, "min_score": 2, "max_score": 1}, "must not exceed"),
        ({"labels": labels, "sampling": "hard"}, "`sampling` must be one of"),
        ({"labels": labels, "query_embeddings": items}, "given together"),
        ({"labels": labels, "query_labels": labels}, "given together"),
        ({"labels": labels, "search": LinearSearch("cosine", 5)}, "0 rows of width 5"),
        ({"positives": [1, 2]}, "one for each anchor"),
        ({"positives": [[0, 12]]}, "rows from 0 to 11 as positives"),
        ({"positives": [[-1, 1]]}, "rows from 0 to 11 as anchors"),
        ({"positives": [[1, 1]]}, "must not pair an item with itself"),
    ):
        with pytest.raises(ValueError, match=message):
            mine_hard_negatives(items, **arguments)
    with pytest.raises(TypeError, match="of one kind"):
        mine_hard_negatives(
            items, labels, query_embeddings=items, query_labels=["a"] * 12
        )


# Confused classes


def confusion(items, labels, k):
    classes = sorted({label for label in labels if label is not None})
    counts = np.zeros((len(classes), len(classes)))
    for i, label in enumerate(labels):
        if label is None:
            continue
        others = [j for j in range(len(items)) if j != i and labels[j] is not None]
        scores = cosine(items[i], items)
        others.sort(key=lambda j: (-scores[j], j))
        for j in others[:k]:
            counts[classes.index(label), classes.index(labels[j])] += 1
    return counts / counts.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("k", [1, 7, 500])
def test_confusion_is_what_the_loops_count(k):
    items, codes = data(90, 6, 11)
    labels = [f"c{code}" for code in codes]
    labels[3] = None
    found = class_confusion(items, labels, k=k)
    wanted = confusion(items, labels, k)
    np.testing.assert_allclose(found.matrix(), wanted)
    assert found.classes.tolist() == [f"c{i}" for i in range(6)]
    source, target, share = found.most_confused(1)[0]
    np.fill_diagonal(wanted, 0.0)
    assert share == pytest.approx(wanted.max())
    assert wanted[int(source[1]), int(target[1])] == pytest.approx(wanted.max())
    rivals, shares = found.rivals(2)
    for i in range(6):
        for j, s in zip(rivals[i], shares[i], strict=True):
            assert s == pytest.approx(wanted[i, j] if j >= 0 else 0.0)
        assert shares[i, 0] == pytest.approx(wanted[i].max())


def test_confusion_of_lookups_and_by_blocks(monkeypatch):

    items, labels = data(70, 5, 12)
    wanted = class_confusion(items, labels, k=4)
    search = LinearSearch("cosine", 5)
    search.batch_add(items, np.arange(70))
    near, found = search.batch_lookup(items, 8)
    lookups = Lookups(near[:, 1:], found[:, 1:], labels[near[:, 1:]])
    for given in (lookups, list(lookups)):
        answer = class_confusion(given, labels, k=4)
        np.testing.assert_allclose(answer.matrix(), wanted.matrix())
    module = sys.modules[class_confusion.__module__]
    monkeypatch.setattr(module, "_BLOCK_NEIGHBOURS", 60)
    parts = class_confusion(items, labels, k=4)
    np.testing.assert_allclose(parts.matrix(), wanted.matrix())


def test_confusion_with_missing_and_foreign_neighbours():
    rows = [
        [Lookup(rank=1, distance=0.1, label=1), Lookup(rank=2, distance=0.2)],
        [Lookup(rank=1, distance=0.1, label=7)],
        [],
    ]
    found = class_confusion(rows, [1, 1, 2])
    assert found.classes.tolist() == [1, 2, 7]
    assert found.matrix().tolist() == [[0.5, 0, 0.5], [0, 0, 0], [0, 0, 0]]
    assert found.rivals(1)[0].tolist() == [[2], [-1], [-1]]
    assert repr(found) == "ClassConfusion(n_classes=3)"


def test_confusion_refuses_what_it_cannot_do():
    with pytest.raises(ValueError, match="at least two items"):
        class_confusion([[1.0]], [1])
    with pytest.raises(ValueError, match="`k` must be an integer"):
        class_confusion([[1.0], [2.0]], [1, 2], k=0)
    with pytest.raises(ValueError, match="one label for each item"):
        class_confusion([[1.0], [2.0]], [1])


def test_a_search_that_cannot_be_used_is_refused():
    x, y = np.eye(4), [0, 0, 1, 1]
    with pytest.raises(TypeError, match="`search` must be a `Search`"):
        mine_hard_negatives(x, y, n_negatives=1, search="linear")
    other = LinearSearch("cosine", 4)
    other.batch_add(x, np.arange(4) + 10)
    with pytest.raises(ValueError, match="by the ids 0 to 3. Received: ids from"):
        mine_hard_negatives(x, y, n_negatives=1, search=other)


@pytest.mark.parametrize("value", [np.nan, "0.5", True])
def test_scores_and_margins_are_numbers(value):
    for name in ("min_score", "max_score", "relative_margin", "absolute_margin"):
        with pytest.raises(ValueError, match=f"`{name}` must be a number"):
            mine_hard_negatives(np.eye(4), [0, 0, 1, 1], **{name: value})


def test_more_classes_than_the_root_of_32_bits():
    n = 46_400
    names = np.arange(n)
    lookups = Lookups(
        names[:, None], np.zeros((n, 1), np.float32), np.roll(names, 1)[:, None]
    )
    found = class_confusion(lookups, names)
    np.testing.assert_array_equal(found.sources, names)
    np.testing.assert_array_equal(found.targets, np.roll(names, 1))
    for wrong in (-1, 1.5):
        with pytest.raises(ValueError, match="`n` must be an integer of at least 0"):
            found.most_confused(wrong)
