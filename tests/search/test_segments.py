"""Several segments, a tail, what is gone, and how they come to be."""

import json
import os

import numpy as np
import pytest

from tensorflow_similarity._core import files
from tensorflow_similarity._core.vectors import Vectors
from tensorflow_similarity.search import LinearSearch, NMSLibSearch, exact
from tensorflow_similarity.search import nmslib_search as nmslib_module
from tensorflow_similarity.search.segments import Piece, SearchState, Segment, merged

DIM = 4


@pytest.fixture
def short_segments(monkeypatch):
    """100 rows are worth a graph."""
    monkeypatch.setattr(nmslib_module, "_EXACT_FLOATS", 100 * DIM)


@pytest.fixture
def builds(monkeypatch):
    """How many rows each graph was made of."""
    made = []
    build = NMSLibSearch._build

    def counted(self, vectors, rows):
        made.append(len(rows))
        return build(self, vectors, rows)

    monkeypatch.setattr(NMSLibSearch, "_build", counted)
    return made


def draw(n, seed=0):
    return np.random.default_rng(seed).normal(size=(n, DIM)).astype(np.float32)


def state_of(rows, *ends, search=None, gone=()):
    """A state with one segment up to each of `ends`, without merging."""
    search = NMSLibSearch("euclidean", dim=DIM) if search is None else search
    vectors = Vectors(DIM).append(rows)
    if len(gone):
        vectors = vectors.remove(gone)
    bounds = [0, *ends]
    segments = tuple(
        search._segment(vectors, start, end)
        for start, end in zip(bounds, bounds[1:], strict=False)
    )
    return search, SearchState(vectors, segments, bounds[-1])


def best(rows, queries, k, alive=None):
    table = ((queries[:, None].astype(float) - rows[None]) ** 2).sum(axis=2)
    if alive is not None:
        table[:, ~alive] = np.inf
    return np.argsort(table, axis=1, kind="stable")[:, :k]


def recall(found, expected):
    pairs = zip(found, expected, strict=True)
    return np.mean([np.isin(b, a).mean() for a, b in pairs])


# The rule of merging


def sizes_after(*sizes):
    starts = np.cumsum([0, *sizes]).tolist()
    pieces = [
        Piece(start, start + size, size, object())
        for start, size in zip(starts, sizes, strict=False)
    ]
    pieces = merged(pieces)
    assert all(a.end <= b.start for a, b in zip(pieces, pieces[1:], strict=False))
    return [(piece.n_alive, piece.segment is not None) for piece in pieces]


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([], []),
        ([5], [(5, True)]),
        ([5, 4], [(5, True), (4, True)]),
        ([5, 5], [(10, False)]),
        ([9, 3, 3], [(9, True), (6, False)]),
        ([6, 3, 3], [(12, False)]),  # both at once, not one after the other
        ([100, 40, 30], [(100, True), (40, True), (30, True)]),
        ([100, 0, 30], [(100, True), (30, True)]),
        ([0, 0], []),
        ([2, 100, 40], [(142, False)]),  # most of the first is gone
    ],
    ids=str,
)
def test_a_piece_not_longer_than_all_behind_it_is_merged(sizes, expected):
    assert sizes_after(*sizes) == expected


def test_there_are_few_pieces_and_few_builds_however_rows_come():
    generator = np.random.default_rng(0)
    pieces, built, size = [], 0, 0
    for _ in range(2000):
        n = int(generator.integers(1, 4))
        pieces = merged([*pieces, Piece(size, size + n, n)])
        size += n
        built += sum(piece.n_alive for piece in pieces if piece.segment is None)
        pieces = [Piece(p.start, p.end, p.n_alive, object()) for p in pieces]
        assert len(pieces) <= np.log2(size) + 1
    assert built <= size * (np.log2(size) + 1)


# Sealing, merging, making anew


def test_a_long_tail_is_sealed_and_merged(short_segments, builds):
    rows = draw(1000)
    subject = NMSLibSearch("euclidean", dim=DIM)
    for i in range(0, 1000, 50):
        subject.batch_add(rows[i : i + 50], np.arange(i, i + 50))
    segments = subject._state.segments
    assert [s.n_rows for s in segments] == [800, 200]
    # As binary numbers carry, in lots of 50; the first needs two of them.
    assert builds == [100, *((lots & -lots) * 50 for lots in range(3, 21))]
    ids, _ = subject.batch_lookup(rows, 1)
    assert (ids.ravel() == np.arange(1000)).mean() > 0.99


def test_what_is_added_without_building_stays_the_tail(short_segments, builds):
    rows = draw(300)
    subject = NMSLibSearch("euclidean", dim=DIM)
    subject.batch_add(rows, np.arange(300), build=False)
    assert not builds and not subject.is_built()
    assert subject.lookup(rows[7], 1)[0].tolist() == [7]
    subject.build()
    assert builds == [300] and subject._state.is_plain


def test_build_seals_a_short_tail_of_a_long_index(short_segments, builds):
    rows = draw(160)
    subject = NMSLibSearch("euclidean", dim=DIM)
    subject.batch_add(rows[:60], np.arange(60))
    subject.build()
    assert not builds
    subject.batch_add(rows[60:140], np.arange(60, 140))
    subject.batch_add(rows[140:], np.arange(140, 160))
    assert builds == [140] and subject._state.n_built == 140
    subject.build()
    subject.build()
    assert builds == [140, 20] and subject._state.n_built == 160
    subject.build(force=True)
    assert builds == [140, 20, 160] and subject._state.is_plain


def test_a_segment_of_which_too_much_is_gone_is_made_anew(short_segments, builds):
    rows = draw(640)
    search, state = state_of(rows, 400, 600)
    builds.clear()
    state = search.follow(state, state.vectors.remove(np.arange(400, 450)))
    assert search.built(state) is state
    state = search.follow(state, state.vectors.remove(np.arange(450, 455)))
    after = search.built(state)
    assert builds == [145] and after.n_built == 600
    assert after.segments[0] is state.segments[0]
    assert [s.n_rows for s in after.segments] == [400, 145]
    alive = ~after.vectors.dead
    found, _ = search.find(after, rows[:200] + 0.1, 8)
    assert recall(found, best(rows, rows[:200] + 0.1, 8, alive)) >= 0.98
    # One that has become shorter than what is behind it is merged.
    state = search.follow(after, after.vectors.remove(np.arange(290)))
    after = search.built(state)
    assert builds == [145, 255] and [s.n_rows for s in after.segments] == [255]


def test_a_segment_that_lost_all_goes(short_segments, builds):
    rows = draw(500)
    search, state = state_of(rows, 200, 500)
    builds.clear()
    state = search.follow(state, state.vectors.remove(np.arange(200, 500)))
    after = search.built(state)
    assert not builds and after.segments == state.segments[:1]
    assert after.n_built == 500  # nothing of the tail is left to be searched
    found, _ = search.find(after, rows[:50], 1)
    assert (found.ravel() == np.arange(50)).mean() > 0.97
    state = search.follow(state, state.vectors.remove(np.arange(200)))
    assert search.built(state).segments == ()


def test_an_index_grown_small_is_searched_exactly(short_segments):
    rows = draw(300)
    search, state = state_of(rows, 200, 300)
    state = search.follow(state, state.vectors.remove(np.arange(30, 300)))
    after = search.built(state)
    assert after.segments == () and after.n_built == 0
    assert search.find(after, rows[:1], 40)[0].shape == (1, 30)


def test_states_before_a_build_answer_as_they_did(short_segments):
    rows = draw(600)
    search, state = state_of(rows, 300, 450)
    expected = search.find(state, rows[:9], 5)
    later = search.built(search.follow(state, state.vectors.remove(np.arange(200))))
    assert len(later.segments) == 1
    for now, then in zip(search.find(state, rows[:9], 5), expected, strict=True):
        np.testing.assert_array_equal(now, then)


# Finding


@pytest.mark.parametrize("n_queries", [1, 40])
@pytest.mark.parametrize("rescore", [None, 1, 3])
@pytest.mark.parametrize("removed", [0, 120])
def test_segments_and_tail_are_one(n_queries, rescore, removed):
    rows = draw(1000)
    search = NMSLibSearch("euclidean", dim=DIM, rescore=rescore)
    search, state = state_of(rows, 500, 800, 950, search=search)
    alive = np.ones(1000, bool)
    alive[np.random.default_rng(1).permutation(1000)[:removed]] = False
    if removed:
        state = search.follow(state, state.vectors.remove(np.flatnonzero(~alive)))
    queries = draw(n_queries, seed=2)
    for k in (1, 10, 200, 2000):
        found, distances = search.find(state, queries, k)
        n = min(k, int(alive.sum()))
        assert found.shape == distances.shape == (n_queries, n)
        assert found.dtype == np.int64 and distances.dtype == np.float32
        assert alive[found].all() and (np.diff(distances) >= 0).all()
        assert all(len(set(row)) == n for row in found.tolist())
        assert recall(found, best(rows, queries, n, alive)) >= 0.98
        gaps = rows[found].astype(float) - queries[:, None]
        own = np.sqrt((gaps**2).sum(axis=2))
        np.testing.assert_allclose(distances, own, rtol=1e-5, atol=1e-6)
    found, _ = search.find(state, queries, 10, exact=True)
    np.testing.assert_array_equal(found, best(rows, queries, 10, alive))


def test_equal_distances_come_by_segment():
    rows = np.zeros((90, DIM), np.float32)
    rows[:, 0] = np.arange(90) % 30  # each row stands once in each of three segments
    search, state = state_of(rows, 30, 60)
    found, _ = search.find(state, rows[:30], 3)
    expected = np.arange(30)[:, None] + [0, 30, 60]
    np.testing.assert_array_equal(found, expected)


def forgetful(search, n):
    """The search, whose graphs name only the first n of what is asked."""
    plain = search._lookup

    def short(structure, queries, k):
        positions, distances = plain(structure, queries, k)
        positions[:, n:], distances[:, n:] = -1, np.inf
        return positions, distances

    search._lookup = short


@pytest.mark.parametrize("ends", [(300,), (200, 300), (200,)])
@pytest.mark.parametrize("removed", [False, True])
def test_a_short_answer_of_a_graph_is_made_whole_exactly(ends, removed):
    rows, queries = draw(300), draw(20, seed=1)
    search, state = state_of(rows, *ends)
    alive = np.ones(300, bool)
    if removed:
        alive[::9] = False
        state = search.follow(state, state.vectors.remove(np.flatnonzero(~alive)))
    forgetful(search, 3)
    found, _ = search.find(state, queries, 10)
    np.testing.assert_array_equal(found, best(rows, queries, 10, alive))


# Masks


@pytest.mark.parametrize("share", [0.01, 0.2, 0.9])
@pytest.mark.parametrize("exact_", [False, True])
@pytest.mark.parametrize("graph", [False, True])
def test_a_masked_state_answers_only_what_is_allowed(share, exact_, graph):
    rows, queries = draw(2000), draw(30, seed=1)
    search, state = state_of(rows, *((1200, 1900) if graph else ()))
    state = search.follow(state, state.vectors.remove(np.arange(0, 2000, 17)))
    allowed = np.random.default_rng(2).random(2000) < share
    view = search.follow(state, state.vectors.masked(allowed))
    alive = allowed & (np.arange(2000) % 17 > 0)
    assert view.vectors.n_alive == alive.sum()
    found, _ = search.find(view, queries, 12, exact_)
    expected = best(rows, queries, min(12, int(alive.sum())), alive)
    assert alive[found].all() and found.shape == expected.shape
    if exact_ or not graph:
        np.testing.assert_array_equal(found, expected)
    else:
        assert recall(found, expected) >= 0.98
    assert not state.vectors.dead[1]  # the state itself is as it was


def test_a_mask_over_one_corner_is_answered_in_full():
    """Allowed rows of which the graph names none among its nearest."""
    rows = draw(1000)
    rows[::10] += 100
    search, state = state_of(rows, 1000)
    allowed = np.zeros(1000, bool)
    allowed[::10] = True
    view = search.follow(state, state.vectors.masked(allowed))
    queries = draw(20, seed=1)
    found, _ = search.find(view, queries, 10)
    np.testing.assert_array_equal(found, best(rows, queries, 10, allowed))


def test_a_mask_that_allows_nothing_gets_no_answer():
    search, state = state_of(draw(300), 200)
    view = search.follow(state, state.vectors.masked(np.zeros(300, bool)))
    for exact_ in (False, True):
        found, distances = search.find(view, draw(3), 5, exact_)
        assert found.shape == distances.shape == (3, 0)


@pytest.mark.parametrize("share", [0.02, 0.2, 0.3])
@pytest.mark.parametrize("name", ["cosine", "manhattan", "snr"])
def test_few_rows_are_gathered_first_and_nothing_else_changes(share, name, monkeypatch):
    rows, queries = draw(3000), draw(9, seed=1)
    vectors = Vectors(DIM).append(rows)
    allowed = np.random.default_rng(2).random(3000) < share
    search = LinearSearch(name, dim=DIM)
    state = SearchState(vectors.masked(allowed))
    taken = []
    take = Vectors.take

    def counted(self, rows):
        taken.append(rows.size)
        return take(self, rows)

    monkeypatch.setattr(Vectors, "take", counted)
    found, distances = search.find(state, queries, 7)
    assert (allowed.sum() in taken) == (share < exact._SPARSE_SHARE)
    monkeypatch.setattr(exact, "_SPARSE_SHARE", 0.0)
    slow, slow_distances = search.find(state, queries, 7)
    np.testing.assert_array_equal(found, slow)
    np.testing.assert_array_equal(distances, slow_distances)


# Re-scoring


class Coarse(NMSLibSearch):
    """Answers by rows rounded to halves: candidates, and distances that are not so."""

    def _build(self, vectors, rows):
        return np.round(vectors.take(rows) * 2) / 2

    def _lookup(self, structure, queries, k):
        table = ((queries[:, None] - structure[None]) ** 2).sum(axis=2)
        order = np.argsort(table, axis=1)[:, :k]
        return order, np.sqrt(np.take_along_axis(table, order, 1)).astype(np.float32)


@pytest.mark.parametrize("n_queries", [1, 30])
def test_rescoring_makes_the_candidates_of_an_engine_exact(n_queries):
    rows, queries = draw(600), draw(n_queries, seed=1)
    expected = best(rows, queries, 10)
    recalls = []
    for rescore in (None, 1, 8):
        search = Coarse("euclidean", dim=DIM, rescore=rescore)
        search, state = state_of(rows, 400, 500, search=search)
        found, distances = search.find(state, queries, 10)
        gaps = rows[found].astype(float) - queries[:, None]
        own = np.sqrt((gaps**2).sum(axis=2))
        assert np.allclose(distances, own, atol=1e-5) == (rescore is not None)
        recalls.append(recall(found, expected))
    assert recalls[0] <= recalls[1] < recalls[2] and recalls[2] == 1.0


@pytest.mark.parametrize("rescore", [0, -1, True, 1.5, "2"])
@pytest.mark.parametrize("cls", [LinearSearch, NMSLibSearch])
def test_rescore_is_checked(cls, rescore):
    with pytest.raises(ValueError, match="`rescore` must be an integer of at least 1"):
        cls("cosine", dim=3, rescore=rescore)


def test_rescore_is_in_the_configuration():
    subject = LinearSearch("cosine", dim=3, rescore=np.int64(4))
    assert LinearSearch.from_config(subject.get_config()).rescore == 4
    json.dumps(subject.get_config())


# Files


def save(search, state, path):
    with files.written_folder(path, kind="test") as folder:
        search.save_state(state, folder, "search")


def inodes(path):
    found = (file for file in path.rglob("*") if file.is_file())
    return {file.relative_to(path).as_posix(): file.stat().st_ino for file in found}


@pytest.mark.parametrize("removed", [False, True])
def test_a_state_of_several_segments_is_read_as_it_was(tmp_path, removed):
    rows, queries = draw(700), draw(20, seed=1)
    rows[40:80] = rows[40]
    gone = np.arange(100, 180) if removed else ()
    search, state = state_of(rows, 300, 500, gone=gone)
    assert [s.rows is None for s in state.segments] == [False, True]
    assert state.segments[0].n_positions == 300 - 39 - len(gone)
    expected = search.find(state, queries, 9)
    save(search, state, tmp_path / "a")
    other = NMSLibSearch("euclidean", dim=DIM)
    again = other.load_state(tmp_path / "a" / "search", state.vectors)
    assert again.n_built == state.n_built
    assert [s.name for s in again.segments] == [s.name for s in state.segments]
    for now, then in zip(other.find(again, queries, 9), expected, strict=True):
        np.testing.assert_array_equal(now, then)


def test_only_new_segments_are_written(tmp_path):
    rows = draw(500)
    search, state = state_of(rows, 300)
    save(search, state, tmp_path / "a")
    before = inodes(tmp_path / "a")
    segment = search._segment(state.vectors, 300, 500)
    state = SearchState(state.vectors, (*state.segments, segment), 500)
    search._save = None if os.name == "nt" else search._save
    save(search, state, tmp_path / "a")
    after = inodes(tmp_path / "a")
    kept = {name for name in before if after.get(name) == before[name]}
    first, second = (s.name for s in state.segments)
    assert kept == {name for name in before if first in name} and len(kept) == 2
    assert any(second in name for name in after)
    loaded = search.load_state(tmp_path / "a" / "search", state.vectors)
    again, _ = search.find(loaded, rows, 1)
    assert (again.ravel() == np.arange(500)).mean() > 0.98
    # A merged index leaves nothing of the segments behind.
    state = search.built(state, force=True)
    save(search, state, tmp_path / "a")
    assert not any(first in name for name in inodes(tmp_path / "a"))


def test_a_segment_damaged_where_it_stands_is_written_again(tmp_path):
    rows = draw(300)
    search, state = state_of(rows, 300)
    save(search, state, tmp_path / "a")
    graph = next((tmp_path / "a").rglob("graph.bin"))
    (tmp_path / "a" / "linked").hardlink_to(graph)
    facts = next((tmp_path / "a").rglob("graph.json"))
    facts.unlink()
    save(search, state, tmp_path / "a")
    files.checked_folder(tmp_path / "a", "test")
    again = search.load_state(tmp_path / "a" / "search", state.vectors)
    found = search.find(again, rows, 1)[0].ravel()
    assert (found == np.arange(300)).mean() > 0.98


def test_a_state_of_something_else_is_left_out(tmp_path):
    rows = draw(300)
    search, state = state_of(rows, 300)
    save(search, state, tmp_path / "a")
    path = tmp_path / "a" / "search"
    for other in (LinearSearch("euclidean", DIM), NMSLibSearch("cosine", DIM)):
        assert other.load_state(path, state.vectors).segments == ()
    fewer = Vectors(DIM).append(rows[:299])
    assert search.load_state(path, fewer).segments == ()
    assert search.load_state(tmp_path / "none", fewer).segments == ()
    more = search.load_state(path, state.vectors.append(rows))
    assert more.n_built == 300 and search.find(more, rows[:1], 2)[0][0].max() == 300


@pytest.mark.parametrize(
    "change",
    [
        {"segments": 3},
        {"segments": [{"name": "x"}]},
        {"n_built": "many"},
        {"segments": [{}]},
        "[]",
        "{}",
        "{",
        b"\xff",
    ],
    ids=str,
)
def test_files_that_are_not_a_state_are_refused(tmp_path, change):
    search, state = state_of(draw(300), 300)
    save(search, state, tmp_path / "a")
    file = tmp_path / "a" / "search" / "segments.json"
    if isinstance(change, dict):
        change = json.dumps({**json.loads(file.read_text()), **change})
    file.write_bytes(change if isinstance(change, bytes) else change.encode())
    with pytest.raises(ValueError, match="does not hold a search as it was written"):
        search.load_state(tmp_path / "a" / "search", state.vectors)


@pytest.mark.parametrize(
    "rows", [np.arange(299), np.arange(300) + 1, np.arange(300) - 1, np.arange(0)]
)
def test_rows_that_cannot_be_are_refused(tmp_path, rows):
    search, state = state_of(draw(300), 300)
    segment = state.segments[0]
    wrong = Segment(segment.structure, 0, 300, rows.astype(np.int32))
    state = SearchState(state.vectors, (wrong,), 300)
    save(search, state, tmp_path / "a")
    file = tmp_path / "a" / "search" / "segments.json"
    facts = json.loads(file.read_text())
    facts["segments"][0]["n_positions"] = 300
    file.write_text(json.dumps(facts))
    with pytest.raises(ValueError, match="rows for 300 positions|not within 0 and 300"):
        search.load_state(tmp_path / "a" / "search", state.vectors)
