"""What every search keeps, against plain loops in float64 and a dictionary."""

import json
import logging
import math
import shutil
import sys

import keras
import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tensorflow_similarity import distances, search
from tensorflow_similarity._core import vectors as vectors_module
from tensorflow_similarity.search import (
    LinearSearch,
    NMSLibSearch,
    exact,
    nmslib_graph,
)

ALL = ["cosine", "euclidean", "squared_euclidean", "manhattan", "inner_product", "snr"]
CLAIMS = {LinearSearch: ALL, NMSLibSearch: [name for name in ALL if name != "snr"]}
# (class, distance, whether a graph is built by force)
MEMBERS = [
    pytest.param(cls, name, graph, id=f"{cls.default_name}-{name}{'-graph' * graph}")
    for cls, names in CLAIMS.items()
    for name in names
    for graph in ([False, True] if cls is NMSLibSearch else [False])
]
# One of each kind, where the distance does not matter.
KINDS = [
    pytest.param(LinearSearch, False, id="linear"),
    pytest.param(NMSLibSearch, False, id="nmslib"),
    pytest.param(NMSLibSearch, True, id="nmslib-graph"),
]


def reference(name, query, row):
    """The distance of two rows, in loops over Python's floats."""
    q, x = [float(v) for v in query], [float(v) for v in row]
    gaps = [a - b for a, b in zip(q, x, strict=True)]
    dot = math.fsum(a * b for a, b in zip(q, x, strict=True))
    if name == "cosine":
        lengths = [math.sqrt(math.fsum(v * v for v in row)) for row in (q, x)]
        if not all(lengths):
            return 1.0
        pairs = zip(q, x, strict=True)
        halves = [a / lengths[0] - b / lengths[1] for a, b in pairs]
        return math.fsum(v * v for v in halves) / 2
    if name == "euclidean":
        return math.sqrt(math.fsum(v * v for v in gaps))
    if name == "squared_euclidean":
        return math.fsum(v * v for v in gaps)
    if name == "manhattan":
        return math.fsum(abs(v) for v in gaps)
    if name == "inner_product":
        return -dot

    def variance(values):
        mean = math.fsum(values) / len(values)
        return math.fsum((v - mean) ** 2 for v in values) / len(values)

    signal = variance(q)
    return variance(gaps) / signal if signal > 1e-12 else variance(gaps)


def reference_table(name, queries, rows):
    return np.array([[reference(name, q, x) for x in rows] for q in queries])


def nearest(table, k):
    """Columns of the k least values per row, equal ones by column."""
    return np.argsort(table, axis=1, kind="stable")[:, :k]


def draw(n, dim, seed=0):
    """Rows of unequal lengths; nothing is normalised."""
    generator = np.random.default_rng(seed)
    rows = generator.normal(size=(n, dim)) * generator.uniform(0.2, 3, size=(n, 1))
    return rows.astype(np.float32)


def made(cls, distance, rows, graph=False, ids=None, **kwargs):
    made = cls(distance, dim=rows.shape[1], **kwargs)
    made.batch_add(rows, np.arange(len(rows)) if ids is None else ids)
    if graph:
        made.build(force=True)
    assert made.is_built() == graph
    return made


def assert_measured(name, queries, rows, ids, found, tolerance=2e-5):
    """Each distance is the one of its id, in the unit of `name`, and they ascend."""
    for q, some, values in zip(queries, ids, found, strict=True):
        expected = [reference(name, q, rows[i]) for i in some]
        scale = max(1.0, *np.abs(expected)) if len(expected) else 1.0
        np.testing.assert_allclose(values, expected, rtol=0, atol=tolerance * scale)
        assert (np.diff(values) >= 0).all()


@pytest.fixture
def small_blocks(monkeypatch):
    """16 rows a block, so that a few dozen rows make several."""
    monkeypatch.setattr(vectors_module, "_BLOCK_BYTES", 64)


def test_every_public_search_is_in_the_suite():
    public = [getattr(search, name) for name in search.__all__]
    classes = {
        item
        for item in public
        if isinstance(item, type)
        and issubclass(item, search.Search)
        and item is not search.Search
    }
    # The engines that are installed apart have files of their own.
    others = {search.AutoSearch, search.FaissSearch, search.ScaNNSearch}
    assert classes == {*CLAIMS, *others} == set(search._SEARCHES.values())


@pytest.mark.parametrize("cls", CLAIMS)
def test_claims_are_what_the_class_accepts(cls):
    accepted = set()
    for distance in distances.DISTANCES:
        try:
            cls(distance, dim=3)
        except ValueError:
            continue
        accepted.add(distance.name)
    assert accepted == set(CLAIMS[cls])


@pytest.mark.parametrize(("cls", "name", "graph"), MEMBERS)
@pytest.mark.parametrize("dim", [1, 5])
def test_agrees_with_the_loops(cls, name, graph, dim, small_blocks):
    rows, queries = draw(90, dim), draw(7, dim, seed=1)
    ids = np.random.default_rng(2).permutation(900)[:90] - 450
    table = reference_table(name, queries, rows)
    subject = made(cls, name, rows, graph, ids)
    for k in (1, 4, 40):
        found_ids, found = subject.batch_lookup(queries, k)
        assert found_ids.dtype == np.int64 and found.dtype == np.float32
        best = nearest(table, k)
        if graph:  # builds differ from run to run: recall can be relied on, no more
            plain_ids = np.searchsorted(ids, found_ids, sorter=np.argsort(ids))
            plain_ids = np.argsort(ids)[plain_ids]
            assert_measured(name, queries, rows, plain_ids, found)
            assert (found <= np.sort(table, axis=1)[:, k - 1 : k] + 1e-4).mean() > 0.9
            continue
        expected = np.take_along_axis(table, best, 1)
        scale = np.abs(expected).max()
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * scale)
        if dim > 1 or name in ("euclidean", "manhattan"):  # else full of ties
            np.testing.assert_array_equal(found_ids, ids[best])


@pytest.mark.parametrize(("cls", "name", "graph"), MEMBERS)
def test_one_query_agrees_with_many(cls, name, graph):
    rows, queries = draw(60, 4), draw(5, 4, seed=1)
    subject = made(cls, name, rows, graph)
    ids, found = subject.batch_lookup(queries, 6)
    for i, query in enumerate(queries):
        one_ids, one = subject.lookup(query, 6)
        assert one_ids.shape == one.shape == (6,)
        np.testing.assert_array_equal(one_ids, ids[i])
        np.testing.assert_allclose(one, found[i], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("cls", "graph"), KINDS)
def test_units_are_the_distance_own(cls, graph):
    rows = np.array([[0, 0], [3, 4], [30, 40]], np.float32)
    unit = {"euclidean": 5.0, "squared_euclidean": 25.0, "manhattan": 7.0}
    for name, value in unit.items():
        ids, found = made(cls, name, rows, graph).lookup([0, 0], 2)
        assert ids.tolist() == [0, 1]
        np.testing.assert_allclose(found, [0, value], rtol=1e-6)
    ids, found = made(cls, "inner_product", rows, graph).lookup([1, 1], 3)
    assert ids.tolist() == [2, 1, 0] and found.tolist() == [-70, -7, 0]
    # The length of a row does not count; opposite is 2, across is 1.
    rows = np.array([[9, 9], [-1e-3, -1e-3], [500, -500]], np.float32)
    ids, found = made(cls, "cosine", rows, graph).lookup([0.1, 0.1], 3)
    assert ids.tolist() == [0, 2, 1]
    np.testing.assert_allclose(found, [0, 1, 2], atol=3e-7)


@pytest.mark.parametrize(("cls", "graph"), KINDS)
def test_more_than_there_are_is_a_short_answer(cls, graph):
    subject = made(cls, "euclidean", draw(13, 3), graph)
    ids, found = subject.batch_lookup(draw(4, 3), 50)
    assert ids.shape == found.shape == (4, 13)
    assert all(sorted(row) == list(range(13)) for row in ids.tolist())
    subject.remove([0, 5])
    ids, _ = subject.batch_lookup(draw(4, 3), 50)
    assert ids.shape == (4, 11) and not np.isin(ids, [0, 5]).any()


@pytest.mark.parametrize("k", [0, -1, True, 1.5, 2.0, "3", None, np.bool_(True)])
@pytest.mark.parametrize(("cls", "graph"), KINDS)
def test_k_other_than_a_whole_number_is_refused(cls, graph, k):
    subject = made(cls, "cosine", draw(5, 3), graph)
    with pytest.raises(ValueError, match=r"`k` must be an integer of at least 1"):
        subject.lookup(np.ones(3), k)


BAD_ROWS = {
    "width": (np.ones((2, 4)), r"shape \(n, 3\).*\(2, 4\)"),
    "rank": (np.ones((2, 3, 1)), r"shape \(n, 3\)"),
    "flat": (np.ones(3), r"shape \(n, 3\)"),
    "nan": ([[0, 0, 0], [0, math.nan, 0]], "NaN.*1 of 2 rows, first in row 1"),
    "inf": ([[math.inf, 0, 0], [0, 0, -math.inf]], "infinity.*2 of 2 rows"),
    "beyond float32": ([[1e300, 0, 0], [0, 0, 0]], "1 of 2 rows, first in row 0"),
    "squares beyond float32": ([[1e19, 0, 0]] * 2, "larger number"),
    "ragged": ([[1, 2, 3], [1, 2]], "unequal length"),
    "words": ([["a", "b", "c"]] * 2, "must be numbers"),
    "objects": ([[None, 1, 2]] * 2, "not a number"),
    "complex": (np.ones((2, 3), complex), "must be numbers"),
}


@pytest.mark.parametrize("bad", BAD_ROWS)
@pytest.mark.parametrize(("cls", "graph"), KINDS)
def test_bad_rows_are_refused_and_nothing_is_added(cls, graph, bad):
    rows, message = BAD_ROWS[bad]
    subject = made(cls, "euclidean", draw(5, 3), graph)
    before = subject.batch_lookup(np.zeros((1, 3)), 9)
    with pytest.raises(ValueError, match="`embeddings`.*" + message):
        subject.batch_add(rows, [7, 8])
    with pytest.raises(ValueError, match="`queries`.*" + message):
        subject.batch_lookup(rows, 1)
    assert len(subject) == 5
    for now, then in zip(
        subject.batch_lookup(np.zeros((1, 3)), 9), before, strict=True
    ):
        np.testing.assert_array_equal(now, then)


def test_one_bad_row_is_refused():
    subject = made(LinearSearch, "cosine", draw(5, 3))
    for bad in (1.0, np.ones((1, 3)), np.ones(2), [[1], [1, 2]]):
        with pytest.raises(ValueError, match="`embedding` must be one embedding of"):
            subject.lookup(bad)
        with pytest.raises(ValueError, match="`embedding` must be one embedding of"):
            subject.add(bad, 9)
    assert len(subject) == 5


def test_bad_ids_are_refused_and_nothing_is_added():
    subject = made(LinearSearch, "cosine", draw(5, 3))
    two = draw(2, 3)
    with pytest.raises(ValueError, match="distinct"):
        subject.batch_add(two, [8, 8])
    with pytest.raises(ValueError, match="one id for each.*3 ids for 2"):
        subject.batch_add(two, [8, 9, 10])
    big = np.array([2**63, 1], np.uint64)
    for bad in (["a", "b"], [None, 1], [0.5, 1.0], [True, False], [[1, 2]], big):
        with pytest.raises(TypeError, match="`idxs` must be integers of 64 bits"):
            subject.batch_add(two, bad)
    with pytest.raises(TypeError, match="`idxs` must be integers"):
        subject.remove("a")
    assert len(subject) == 5


@pytest.mark.parametrize("dim", [0, -1, True, 2.0, "3", None])
def test_a_width_below_one_is_refused(dim):
    with pytest.raises(ValueError, match="`dim` must be an integer of at least 1"):
        LinearSearch("cosine", dim=dim)


@pytest.mark.parametrize(("cls", "graph"), KINDS)
def test_an_empty_search_answers_nothing(cls, graph):
    subject = cls("cosine", dim=3)
    if graph:
        subject.build(force=True)
    assert len(subject) == 0 and not subject.is_built()
    ids, found = subject.batch_lookup(np.ones((4, 3)), 5)
    assert ids.shape == found.shape == (4, 0)
    assert subject.lookup(np.ones(3))[0].shape == (0,)
    subject.batch_add(np.ones((0, 3)), [])
    assert len(subject) == 0
    assert subject.remove([1]) == 0


@pytest.mark.parametrize(("cls", "graph"), KINDS)
def test_no_queries_get_no_answers(cls, graph):
    subject = made(cls, "cosine", draw(9, 3), graph)
    ids, found = subject.batch_lookup(np.ones((0, 3)), 5)
    assert ids.shape == found.shape == (0, 5)


@pytest.mark.parametrize(("cls", "name", "graph"), MEMBERS)
def test_one_point(cls, name, graph):
    subject = made(cls, name, draw(1, 3), graph, ids=[2**40])
    ids, found = subject.batch_lookup(draw(2, 3, seed=1), 5)
    assert ids.tolist() == [[2**40]] * 2
    table = reference_table(name, draw(2, 3, seed=1), draw(1, 3))
    np.testing.assert_allclose(found, table, rtol=1e-5)


@pytest.mark.parametrize("name", ALL)
def test_copies_of_one_point_come_in_the_order_added(name, small_blocks):
    rows = draw(1100, 4)
    rows[50:1050] = rows[50]
    subject = made(LinearSearch, name, rows)
    k = 30
    if name == "inner_product":
        rows[50:1050] *= 100
        subject = made(LinearSearch, name, rows)
    ids, found = subject.lookup(rows[50], k)
    assert ids.tolist() == list(range(50, 50 + k))
    assert len(set(found.tolist())) == 1


@pytest.mark.parametrize("name", CLAIMS[NMSLibSearch])
def test_a_graph_of_copies_still_answers(name):
    rows = draw(1100, 4)
    rows[50:1050] = rows[50]
    subject = made(NMSLibSearch, name, rows, graph=True)
    queries = rows[[50, 1060, 3]]
    ids, found = subject.batch_lookup(queries, 8)
    assert ids.shape == (3, 8) and all(len(set(row)) == 8 for row in ids.tolist())
    assert_measured(name, queries, rows, ids, found)


@pytest.mark.parametrize(("cls", "name", "graph"), MEMBERS)
def test_zero_vectors(cls, name, graph):
    rows = draw(60, 4)
    rows[10:40] = 0
    queries = np.concatenate([draw(2, 4, seed=1), np.zeros((1, 4), np.float32)])
    ids, found = made(cls, name, rows, graph).batch_lookup(queries, 60)
    assert np.isfinite(found).all()
    assert all(sorted(row) == list(range(60)) for row in ids.tolist())
    assert_measured(name, queries, rows, ids, found)


@pytest.mark.parametrize("name", ALL)
def test_large_offsets_do_not_cost_digits(name, small_blocks):
    generator = np.random.default_rng(3)
    rows = (1000 + generator.uniform(-0.1, 0.1, size=(300, 8))).astype(np.float32)
    queries = (1000 + generator.uniform(-0.1, 0.1, size=(5, 8))).astype(np.float32)
    ids, found = made(LinearSearch, name, rows).batch_lookup(queries, 10)
    table = reference_table(name, queries, rows)
    best = nearest(table, 10)
    expected = np.take_along_axis(table, best, 1)
    # float32 keeps seven digits of the answer, whatever the rows' own size.
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    gaps = np.diff(np.take_along_axis(table, nearest(table, 11), 1), axis=1)
    clear = (gaps > 1e-5 * np.abs(expected)).all(axis=1)
    np.testing.assert_array_equal(ids[clear], best[clear])
    if name != "inner_product":
        assert clear.all()


@pytest.mark.parametrize("name", ALL)
def test_near_ties_are_settled_by_measuring(name, small_blocks, monkeypatch):
    """More rows within the rounding of the ranks than are kept in reserve."""
    calls = []
    plain = exact._measure_within

    def counted(*args):
        calls.append(args)
        return plain(*args)

    monkeypatch.setattr(exact, "_measure_within", counted)
    generator = np.random.default_rng(4)
    centre = generator.normal(size=8) * 10
    rows = centre + generator.normal(size=(400, 8)) * 3e-6
    rows = rows.astype(np.float32)
    query = rows[0]
    k = 5
    ids, found = made(LinearSearch, name, rows).lookup(query, k)
    assert calls
    table = reference_table(name, query[None], rows)
    expected = np.sort(table[0])[:k]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-12)
    own = [reference(name, query, rows[i]) for i in ids]
    np.testing.assert_allclose(found, own, rtol=1e-4, atol=1e-12)
    if name not in ("inner_product",):  # -q.x of these differ by less than float32
        assert ids[0] == 0


def test_the_slow_way_skips_the_removed_and_the_graph_rows(small_blocks):
    rows = np.ones((200, 3), np.float32)
    subject = made(LinearSearch, "euclidean", rows)
    subject.remove(range(50))
    ids, _ = subject.lookup(np.ones(3), 4)
    assert ids.tolist() == [50, 51, 52, 53]


@pytest.mark.parametrize("name", ALL)
def test_the_largest_rows_allowed_do_not_overflow(name):
    rows = draw(100, 300) / 3 * 1e15
    queries = rows[:3]
    ids, found = made(LinearSearch, name, rows).batch_lookup(queries, 3)
    assert np.isfinite(found).all()
    table = reference_table(name, queries, rows)
    np.testing.assert_array_equal(ids, nearest(table, 3))


@pytest.mark.parametrize("name", CLAIMS[NMSLibSearch])
def test_graph_tail_and_removed_together(name, small_blocks):
    rows, queries = draw(300, 6), draw(20, 6, seed=1)
    subject = NMSLibSearch(name, dim=6)
    subject.batch_add(rows[:250], np.arange(250))
    subject.build(force=True)
    subject.batch_add(rows[250:], np.arange(250, 300), build=False)
    table = reference_table(name, queries, rows)
    gone = np.unique(nearest(table, 4))[::2]  # among the nearest of every query
    assert subject.remove(gone) == len(gone)
    assert subject.is_built() and len(subject) == 300 - len(gone)
    table[:, gone] = np.inf
    ids, found = subject.batch_lookup(queries, 10)
    assert not np.isin(ids, gone).any()
    assert_measured(name, queries, rows, ids, found)
    best = nearest(table, 10)
    recall = np.mean([np.isin(a, b).mean() for a, b in zip(ids, best, strict=True)])
    assert recall > 0.97
    # The tail is searched exactly: each of its rows among the best is there.
    tail = np.where((best >= 250) & (np.arange(10) < 8), best, -1)
    for row, expected in zip(ids, tail, strict=True):
        assert np.isin(expected[expected >= 0], row).all()


def test_a_whole_neighbourhood_removed_from_the_graph_is_no_short_answer():
    rows = draw(300, 4)
    rows[:200] = rows[0] + rows[:200] * 1e-3
    subject = made(NMSLibSearch, "euclidean", rows, graph=True)
    subject.remove(np.arange(200))
    ids, found = subject.batch_lookup(rows[:3], 10)
    assert (ids >= 200).all() and ids.shape == (3, 10)
    assert_measured("euclidean", rows[:3], rows, ids, found)


def test_everything_removed_from_a_graph():
    subject = made(NMSLibSearch, "euclidean", draw(50, 4), graph=True)
    assert subject.remove(range(50)) == 50
    assert subject.lookup(np.ones(4))[0].shape == (0,)
    subject.add(np.ones(4), 7)
    assert subject.lookup(np.ones(4))[0].tolist() == [7]
    assert not subject.is_built()


@pytest.mark.parametrize(("cls", "graph"), KINDS)
def test_adding_an_id_again_moves_it(cls, graph):
    rows = draw(40, 3)
    subject = made(cls, "euclidean", rows, graph)
    far = np.array([100, 100, 100], np.float32)
    subject.add(far, 7)
    assert len(subject) == 40
    ids, found = subject.lookup(far, 2)
    assert ids[0] == 7 and found[0] == 0 and ids[1] != 7
    assert 7 not in subject.lookup(rows[7], 39)[0]
    subject.batch_add(np.stack([rows[7], far]), [7, 41])
    assert subject.lookup(far, 1)[0].tolist() == [41]
    assert subject.lookup(rows[7], 1)[0].tolist() == [7]
    assert len(subject) == 41


@pytest.mark.parametrize(("cls", "graph"), KINDS)
def test_reset_forgets_rows_and_graph(cls, graph):
    subject = made(cls, "euclidean", draw(40, 3), graph)
    subject.reset()
    assert len(subject) == 0 and not subject.is_built()
    subject.add(np.ones(3), 3)
    assert subject.lookup(np.ones(3))[0].tolist() == [3]


def test_a_given_array_may_change_afterwards():
    rows, ids = draw(40, 3), np.arange(40)
    subject = made(LinearSearch, "euclidean", rows, ids=ids)
    kept = rows.copy()
    rows[:], ids[:] = 0, 0
    found_ids, found = subject.batch_lookup(kept, 1)
    assert found_ids[:, 0].tolist() == list(range(40)) and not found.any()


# States


@pytest.mark.parametrize(("cls", "graph"), KINDS)
def test_earlier_states_answer_as_they_did(cls, graph, small_blocks):
    rows, queries = draw(100, 4), draw(6, 4, seed=1)
    subject = made(cls, "euclidean", rows[:40], graph)
    first = subject._state
    before = subject.find(first, queries, 8)
    subject.remove([int(before[0][0, 0]), 3, 20])
    second = subject._state
    between = subject.find(second, queries, 8)
    subject.batch_add(rows[40:], np.arange(40, 100))
    # Two branches of one view: neither shows in the other.
    left = subject.follow(first, first.vectors.append(queries[:2]))
    right = subject.follow(first, first.vectors.append(queries[2:4] + 50))
    for state, expected in ((first, before), (second, between)):
        for now, then in zip(subject.find(state, queries, 8), expected, strict=True):
            np.testing.assert_array_equal(now, then)
    assert subject.find(left, queries[:2], 1)[0].ravel().tolist() == [40, 41]
    assert subject.find(right, queries[2:4] + 50, 1)[0].ravel().tolist() == [40, 41]
    assert subject.find(right, queries[:2], 1)[1].min() > 0


# Files


@pytest.mark.parametrize(("cls", "name", "graph"), MEMBERS)
def test_saved_and_loaded_twice_answers_the_same(cls, name, graph, tmp_path):
    """NMSLIB writes an empty file when what it loaded is saved again."""
    rows, queries = draw(120, 5), draw(9, 5, seed=1)
    subject = made(cls, name, rows, graph, ids=np.arange(120) * 7)
    subject.remove([0, 70, 700])
    subject.batch_add(rows[:4] + 1, [9001, 9002, 9003, 35], build=False)
    expected = subject.batch_lookup(queries, 12)
    for round_ in range(3):
        path = tmp_path / str(round_)
        subject.save(path)
        subject = cls(name, dim=5)
        subject.load(path)
        assert subject.is_built() == graph and len(subject) == 120
        for now, then in zip(subject.batch_lookup(queries, 12), expected, strict=True):
            np.testing.assert_array_equal(now, then)
    subject.remove([9001])
    subject.add(rows[0], 5)
    assert len(subject) == 120
    assert subject.lookup(rows[0], 1)[0].tolist() == [5] or name == "inner_product"


def test_a_loaded_graph_does_not_need_its_files(tmp_path):
    subject = made(NMSLibSearch, "cosine", draw(50, 4), graph=True)
    subject.save(tmp_path / "a")
    loaded = NMSLibSearch("cosine", dim=4)
    loaded.load(tmp_path / "a")
    shutil.rmtree(tmp_path / "a")
    del subject
    loaded.save(tmp_path / "b")
    again = NMSLibSearch("cosine", dim=4)
    again.load(tmp_path / "b")
    assert again.is_built()
    assert again.batch_lookup(draw(50, 4), 1)[0].ravel().tolist() == list(range(50))


def test_an_empty_search_is_saved_and_loaded(tmp_path):
    LinearSearch("cosine", dim=4).save(tmp_path / "a")
    loaded = LinearSearch("cosine", dim=4)
    loaded.add(np.ones(4), 3)
    loaded.load(tmp_path / "a")
    assert len(loaded) == 0


def test_a_file_of_another_distance_or_width_is_refused(tmp_path):
    made(LinearSearch, "cosine", draw(5, 4)).save(tmp_path / "a")
    subject = made(LinearSearch, "euclidean", draw(6, 4))
    with pytest.raises(ValueError, match="has distance 'cosine', this one has 'eucl"):
        subject.load(tmp_path / "a")
    with pytest.raises(ValueError, match="has dim 4, this one has 3"):
        LinearSearch("cosine", dim=3).load(tmp_path / "a")
    assert len(subject) == 6


def test_a_file_damaged_or_absent_is_refused(tmp_path):
    made(LinearSearch, "cosine", draw(5, 4)).save(tmp_path / "a")
    (tmp_path / "a" / "rows.npz").write_bytes(b"x")
    subject = made(LinearSearch, "cosine", draw(6, 4))
    with pytest.raises(ValueError, match="damaged"):
        subject.load(tmp_path / "a")
    with pytest.raises(FileNotFoundError, match=r"no index\.json"):
        subject.load(tmp_path / "b")
    assert len(subject) == 6


# Configurations and names


@pytest.mark.parametrize(("cls", "name", "graph"), MEMBERS)
def test_configuration_goes_through_keras_and_json(cls, name, graph):
    subject = made(cls, name, draw(20, 4), graph, name="mine", verbose=2)
    text = json.dumps(search.serialize(subject))
    again = search.deserialize(json.loads(text))
    assert type(again) is cls and again.get_config() == subject.get_config()
    assert (again.name, again.dim, again.verbose) == ("mine", 4, 2)
    assert again.distance == subject.distance and len(again) == 0
    assert type(search.make_search(json.loads(text))) is cls
    assert cls.from_config(subject.get_config()).get_config() == subject.get_config()


def test_parameters_of_the_graph_are_kept():
    subject = NMSLibSearch(
        "l2",
        dim=4,
        method="brute_force",
        index_params={"M": 8, "efConstruction": 50},
        query_params={"efSearch": 40},
    )
    again = search.get(search.serialize(subject))
    assert again.get_config() == subject.get_config()
    assert again.index_params == {"M": 8, "efConstruction": 50}
    rows = draw(30, 4)
    graph = made(NMSLibSearch, "l2", rows, True, index_params={"M": 8})
    assert graph.lookup(rows[3], 1)[0].tolist() == [3]


def test_brute_force_never_builds():
    subject = NMSLibSearch("l2", dim=4, method="brute_force")
    subject.batch_add(draw(30, 4), np.arange(30))
    assert not subject.build(force=True).is_built()


def test_searches_by_name():
    assert type(search.get(" Linear ", "l2", 3)) is LinearSearch
    assert type(search.get("NMSLIB", "l2", 3)) is NMSLibSearch
    subject = LinearSearch("l2", 3)
    assert search.get(subject) is subject
    with pytest.raises(ValueError, match=r"'faisss'.*'linear', 'nmslib', 's"):
        search.get("faisss", "l2", 3)
    with pytest.raises(TypeError, match=r"'linear', 'nmslib'.*search=3"):
        search.get(3)
    with pytest.raises(TypeError, match="configuration of a search"):
        search.deserialize(distances.serialize(distances.get("l2")))
    with pytest.raises(ValueError, match="'cosine'"):
        LinearSearch("cosinus", 3)


def test_what_nmslib_cannot_do_is_refused():
    with pytest.raises(ValueError, match=r"'snr'.*'cosine'.*search='linear'"):
        NMSLibSearch("snr", dim=3)
    with pytest.raises(ValueError, match=r"`method`.*'brute_force'.*'vptree'"):
        NMSLibSearch("l2", dim=3, method="vptree")
    with pytest.raises(ValueError, match=r"`index_params` has no 'm'.*'M'"):
        NMSLibSearch("l2", dim=3, index_params={"m": 3})
    with pytest.raises(ValueError, match=r"`query_params` has no 'efs'.*'efSearch'"):
        NMSLibSearch("l2", dim=3, query_params={"efs": 3})
    with pytest.raises(ValueError, match="can only be None, 0 and 0"):
        NMSLibSearch("l2", dim=3, space_params={"p": 3})


class Halved(distances.CosineDistance):
    """Inherits the name 'cosine', and is something else."""

    def call(self, query, key):
        return super().call(query, key) / 2


class Chebyshev(distances.Distance):
    name = "chebyshev"

    def call(self, query, key):
        gaps = keras.ops.abs(query[:, None] - key[None])
        return keras.ops.max(gaps, axis=2)


class Broken(distances.Distance):
    name = "broken"

    def call(self, query, key):
        return keras.ops.matmul(query, keras.ops.transpose(key)) * float("nan")


class Beyond(distances.Distance):
    """Infinitely far, except from itself."""

    name = "beyond"

    def call(self, query, key):
        gaps = keras.ops.max(keras.ops.abs(query[:, None] - key[None]), axis=2)
        return keras.ops.where(gaps > 0, float("inf"), 0.0)


def test_a_distance_of_the_user_own_is_searched_exactly(small_blocks):
    rows, queries = draw(70, 4), draw(5, 4, seed=1)
    subject = made(LinearSearch, Chebyshev(), rows)
    subject.remove([0, 11])
    gaps = np.abs(queries[:, None].astype(float) - rows[None]).max(axis=2)
    gaps[:, [0, 11]] = np.inf
    ids, found = subject.batch_lookup(queries, 6)
    np.testing.assert_array_equal(ids, nearest(gaps, 6))
    np.testing.assert_allclose(found, np.sort(gaps, axis=1)[:, :6], rtol=1e-6)


def test_a_subclass_of_ours_is_not_taken_for_it():
    rows = draw(30, 4)
    with pytest.raises(ValueError, match="search='linear'"):
        NMSLibSearch(Halved(), dim=4)
    _, half = made(LinearSearch, Halved(), rows).lookup(rows[0] + 1, 5)
    _, whole = made(LinearSearch, "cosine", rows).lookup(rows[0] + 1, 5)
    np.testing.assert_allclose(2 * half, whole, atol=1e-6)


def test_a_distance_that_gives_nan_is_an_error():
    subject = made(LinearSearch, Broken(), draw(5, 3))
    with pytest.raises(ValueError, match="'broken' gave NaN"):
        subject.lookup(np.ones(3))


def test_a_distance_of_infinity_is_still_a_neighbour(small_blocks):
    rows = draw(40, 3)
    subject = made(LinearSearch, Beyond(), rows)
    subject.remove([1])
    ids, _ = subject.lookup(rows[30], 40)
    assert ids[0] == 30 and sorted(ids) == [0, *range(2, 40)]


# Graphs


def test_a_missing_nmslib_is_said_once_and_searched_exactly(monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "nmslib", None)
    monkeypatch.setattr(nmslib_graph, "_said_missing", False)
    rows, queries = draw(60, 4), draw(5, 4, seed=1)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            subject = NMSLibSearch("cosine", dim=4)
            subject.batch_add(rows, np.arange(60))
            subject.build(force=True)
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 1 and "pip install nmslib" in said[0]
    assert "exactly" in said[0] and not subject.is_built()
    expected = made(LinearSearch, "cosine", rows).batch_lookup(queries, 5)
    for now, then in zip(subject.batch_lookup(queries, 5), expected, strict=True):
        np.testing.assert_array_equal(now, then)


def test_a_graph_read_without_nmslib_is_searched_exactly(monkeypatch, tmp_path):
    rows = draw(60, 4)
    made(NMSLibSearch, "cosine", rows, graph=True).save(tmp_path / "a")
    monkeypatch.setitem(sys.modules, "nmslib", None)
    loaded = NMSLibSearch("cosine", dim=4)
    loaded.load(tmp_path / "a")
    assert not loaded.is_built()
    assert loaded.batch_lookup(rows, 1)[0].ravel().tolist() == list(range(60))


def test_recall_of_a_graph():
    generator = np.random.default_rng(5)
    centres = generator.normal(size=(200, 16))
    rows = centres[generator.integers(0, 200, 40_000)]
    rows = (rows + 0.3 * generator.normal(size=rows.shape)).astype(np.float32)
    queries = rows[::400] + 0.05
    subject = made(NMSLibSearch, "cosine", rows, graph=True)
    ids, found = subject.batch_lookup(queries, 10)
    exact_ids, exact_found = made(LinearSearch, "cosine", rows).batch_lookup(queries)
    hits = [np.isin(a, b).mean() for a, b in zip(exact_ids, ids, strict=True)]
    assert np.mean(hits) >= 0.99
    table = 1 - _unit(queries) @ _unit(rows).T
    best = nearest(table, 10)
    hits = [np.isin(a, b).mean() for a, b in zip(best, ids, strict=True)]
    assert np.mean(hits) >= 0.99
    np.testing.assert_allclose(found, np.take_along_axis(table, ids, 1), atol=1e-6)
    # More neighbours than efSearch is set to.
    ids, _ = subject.batch_lookup(queries[:5], 300)
    best = nearest(table[:5], 300)
    hits = [np.isin(a, b).mean() for a, b in zip(best, ids, strict=True)]
    assert ids.shape == (5, 300) and np.mean(hits) >= 0.98


def _unit(rows):
    rows = rows.astype(float)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


# Against a dictionary


def fast_table(name, queries, rows):
    """The same as `reference_table`, quicker; a test below holds one to the other."""
    q, x = queries.astype(float)[:, None], rows.astype(float)[None]
    if name == "inner_product":
        return -(q * x).sum(axis=2)
    if name == "euclidean":
        return np.sqrt(((q - x) ** 2).sum(axis=2))
    if name == "manhattan":
        return np.abs(q - x).sum(axis=2)
    lengths = np.sqrt((q**2).sum(axis=2) * (x**2).sum(axis=2))
    products = (q * x).sum(axis=2)
    return 1 - np.divide(products, lengths, np.zeros_like(products), where=lengths > 0)


@pytest.mark.parametrize("name", ["cosine", "euclidean", "inner_product", "manhattan"])
def test_the_quick_reference_is_the_slow_one(name):
    queries, rows = draw(3, 4), draw(5, 4, seed=1)
    rows[2] = 0
    table = reference_table(name, queries, rows)
    np.testing.assert_allclose(fast_table(name, queries, rows), table, atol=1e-12)


class Model(RuleBasedStateMachine):
    """Random calls, each answer held against a dictionary of rows."""

    kind: type[search.Search] = LinearSearch
    folder = None
    names = ("cosine", "euclidean", "inner_product", "manhattan")

    @initialize(name=st.sampled_from(names), seed=st.integers(0, 10**6))
    def begin(self, name, seed):
        self.name = name
        self.generator = np.random.default_rng(seed)
        self.subject = self.kind(name, dim=3)
        self.rows = {}
        self.n_saved = 0

    def draw(self, n):
        """Small integers as often as not: equal rows, ties, zero vectors."""
        if self.generator.random() < 0.5:
            return self.generator.integers(-2, 3, (n, 3)).astype(np.float32)
        return self.generator.normal(size=(n, 3)).astype(np.float32)

    @rule(n=st.integers(0, 40), build=st.booleans())
    def add(self, n, build):
        ids = self.generator.choice(120, n, replace=False) - 20
        rows = self.draw(n)
        self.subject.batch_add(rows, ids, build=build)
        self.rows.update(zip(ids.tolist(), rows, strict=True))

    @rule(n=st.integers(0, 25))
    def remove(self, n):
        ids = self.generator.choice(120, n, replace=False) - 20
        present = [i for i in ids.tolist() if i in self.rows]
        assert self.subject.remove(ids) == len(present)
        for i in present:
            del self.rows[i]

    @rule(force=st.booleans())
    def build(self, force):
        self.subject.build(force=force)
        if force and self.rows:
            assert self.subject.is_built() == (self.kind is NMSLibSearch)

    @rule()
    def save_and_load(self):
        path = self.folder / "saved"
        self.subject.save(path)
        loaded = self.kind(self.name, dim=3)
        loaded.load(path)
        assert loaded.is_built() == self.subject.is_built()
        self.subject = loaded

    @invariant()
    def has_the_size(self):
        if hasattr(self, "rows"):
            assert len(self.subject) == len(self.rows)

    @precondition(lambda self: getattr(self, "rows", None))
    @rule(k=st.integers(1, 150))
    def look_up(self, k):
        queries = self.draw(4)
        ids, found = self.subject.batch_lookup(queries, k)
        k = min(k, len(self.rows))
        assert ids.shape == found.shape == (4, k)
        keys = np.array(list(self.rows))
        table = fast_table(self.name, queries, np.stack(list(self.rows.values())))
        for i in range(4):
            assert len(set(ids[i].tolist())) == k
            assert set(ids[i].tolist()) <= set(self.rows)
            values = dict(zip(keys.tolist(), table[i], strict=True))
            own = np.array([values[j] for j in ids[i].tolist()])
            np.testing.assert_allclose(found[i], own, rtol=0, atol=2e-5)
            assert (np.diff(found[i]) >= 0).all()
            best = np.sort(table[i])[:k]
            if self.exact:
                np.testing.assert_allclose(found[i], best, rtol=0, atol=2e-5)
            else:  # ties and all: few are further than the true ones
                assert (own <= best[-1] + 2e-5).mean() >= 0.6

    @property
    def exact(self):
        return not self.subject.is_built()


@pytest.mark.parametrize("cls", CLAIMS)
def test_agrees_with_a_dictionary(cls, tmp_path, small_blocks):
    machine = type(f"{cls.__name__}Model", (Model,), {"kind": cls, "folder": tmp_path})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=25, stateful_step_count=25, deadline=None, derandomize=True
        ),
    )
