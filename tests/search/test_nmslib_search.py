"""NMSLIB's own: parameters, recall that is aimed at, threads, processes."""

import logging
import os
import threading
import time
import warnings

import numpy as np
import pytest

from tensorflow_similarity import search
from tensorflow_similarity.search import NMSLibSearch, nmslib_params, own_rows
from tensorflow_similarity.search import nmslib_search as nmslib_module


def draw(n, dim=8, seed=0):
    return np.random.default_rng(seed).normal(size=(n, dim)).astype(np.float32)


def made(rows, distance="euclidean", **kwargs):
    subject = NMSLibSearch(distance, dim=rows.shape[1], **kwargs)
    subject.batch_add(rows, np.arange(len(rows)))
    return subject.build(force=True)


def graph_of(subject):
    (segment,) = subject._state.segments
    return segment.structure


# Parameters


@pytest.mark.parametrize("name", sorted(nmslib_params._KNOWN["index_params"]))
def test_every_known_parameter_of_a_build_makes_a_graph(name, tmp_path):
    values = {"M": 8, "efConstruction": 50, "post": 2, "delaunay_type": 1, "mult": 0.5}
    values.update(maxM=16, maxM0=32)
    value = values.get(name, 0 if name == "skip_optimized_index" else 4)
    subject = made(draw(200), index_params={name: value})
    found, _ = subject.batch_lookup(draw(200), 1)
    assert (found.ravel() == np.arange(200)).mean() > 0.95
    assert search.get(search.serialize(subject)).index_params == {name: value}


@pytest.mark.parametrize("name", ["ef", "efSearch"])
def test_a_given_ef_is_used_built_and_loaded(name, tmp_path):
    subject = made(draw(200), query_params={name: 33})
    assert graph_of(subject).ef == 33
    subject.save(tmp_path / "a")
    loaded = NMSLibSearch("euclidean", dim=8, query_params={name: 44})
    loaded.load(tmp_path / "a")
    assert graph_of(loaded).ef == 44


@pytest.mark.parametrize(
    ("n", "expected"), [(1, 80), (199_999, 80), (200_000, 160), (1_000_001, 200)]
)
def test_ef_grows_with_the_rows(n, expected):
    assert NMSLibSearch("cosine", dim=3)._ef(n) == expected


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        *[("index_params", "M", value) for value in (1, -4, 1.5, "16", True, None)],
        ("index_params", "efConstruction", 0),
        ("index_params", "indexThreadQty", 0),
        ("index_params", "post", -1),
        ("index_params", "mult", "x"),
        ("query_params", "efSearch", 0),
        ("query_params", "ef", 20.0),
    ],
)
def test_values_that_nmslib_cannot_use_are_refused(name, key, value):
    with pytest.raises(ValueError, match=rf"`{name}\['{key}'\]` must be"):
        NMSLibSearch("cosine", dim=3, **{name: {key: value}})


def test_a_graph_that_could_not_be_loaded_is_not_built():
    with pytest.raises(ValueError, match="`skip_optimized_index` can only be 0"):
        NMSLibSearch("cosine", dim=3, index_params={"skip_optimized_index": 1})


# Recall that is aimed at


def test_the_least_search_that_reaches_the_target_is_taken(tmp_path):
    rows = draw(1500, dim=24)
    low, high = (made(rows, recall_target=target) for target in (0.5, 0.99))
    assert graph_of(low).ef < graph_of(high).ef
    found, _ = high.batch_lookup(rows[:300], 11)
    exact, _ = high.batch_lookup(rows[:300], 11, exact=True)
    others = exact != np.arange(300)[:, None]
    hits = [
        np.isin(a[o], b).mean() for a, b, o in zip(exact, found, others, strict=True)
    ]
    assert np.mean(hits) >= 0.98
    high.save(tmp_path / "a")
    loaded = search.get(search.serialize(high))
    loaded.load(tmp_path / "a")
    assert loaded.recall_target == 0.99 and graph_of(loaded).ef == graph_of(high).ef
    plain = NMSLibSearch("euclidean", dim=24)
    plain.load(tmp_path / "a")
    assert graph_of(plain).ef == 80


def test_recall_is_of_the_ten_others_that_are_nearest():
    rows = draw(400, dim=3)
    kernel = NMSLibSearch("euclidean", dim=3)._kernel
    vectors = search.SearchState(made(rows)._state.vectors).vectors
    some = np.arange(1, 400, 2)  # the others are not in the structure
    sample = own_rows.OwnRows(kernel, vectors, some)
    np.testing.assert_array_equal(sample.queries, rows[some])
    table = ((rows[some][:, None].astype(float) - rows[some]) ** 2).sum(axis=2)
    nearest = np.argsort(table, axis=1)[:, :11]
    assert sample.recall(nearest) == 1.0
    worse = nearest.copy()
    worse[:, 3:6] = np.argsort(table, axis=1)[:, 20:23]
    worse[:, 8] = -1
    assert sample.recall(worse) == pytest.approx(0.6)
    assert list(own_rows.OwnRows(kernel, vectors, some).ladder()) == [
        *(10, 20, 40, 80, 160, 320)
    ]


def test_a_target_out_of_reach_is_said(caplog, monkeypatch):
    monkeypatch.setattr(own_rows, "_LARGEST_EFFORT", 10)
    rows = draw(500, dim=24)
    with caplog.at_level(logging.WARNING):
        subject = made(rows, recall_target=0.9999, index_params={"M": 4})
    assert "`recall_target=0.9999` is not reached" in caplog.text
    assert graph_of(subject).ef == 10


def test_equal_rows_do_not_hide_the_recall():
    rows = np.repeat(draw(300), 20, axis=0)
    assert graph_of(made(rows, recall_target=0.9)).ef <= 80


@pytest.mark.parametrize("target", [0, 1, 0.0, 1.0, -0.1, 2.0, True, "0.9"])
def test_a_target_that_is_no_share_is_refused(target):
    with pytest.raises(ValueError, match="`recall_target` must be a float between"):
        NMSLibSearch("cosine", dim=3, recall_target=target)


def test_a_target_beside_an_ef_is_refused():
    with pytest.raises(ValueError, match="give one of them"):
        NMSLibSearch("cosine", 3, recall_target=0.9, query_params={"efSearch": 9})


# Files


def test_a_graph_whose_file_was_written_into_is_not_saved(tmp_path):
    made(draw(50)).save(tmp_path / "a")
    loaded = NMSLibSearch("euclidean", dim=8)
    loaded.load(tmp_path / "a")
    next((tmp_path / "a").rglob("graph.bin")).write_bytes(b"another graph")
    with pytest.raises(OSError, match="was written into since it was loaded"):
        loaded.save(tmp_path / "b")
    assert not (tmp_path / "b").exists()
    assert loaded.lookup(draw(50)[3], 1)[0].tolist() == [3]
    loaded.build(force=True).save(tmp_path / "b")


def test_no_file_is_left_where_graphs_are_built(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    subject = made(draw(50))
    assert list(tmp_path.iterdir()) == []
    subject.save(tmp_path / "a")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_files_are_closed_with_their_graph():
    folder = "/proc/self/fd"
    if not os.path.isdir(folder):
        pytest.skip("no list of open files here")
    subject = made(draw(50))
    before = len(os.listdir(folder))
    for _ in range(5):
        subject.build(force=True)
    assert len(os.listdir(folder)) == before


# Threads and processes


def test_many_threads_look_up_while_one_adds_removes_and_builds(monkeypatch):
    monkeypatch.setattr(nmslib_module, "_EXACT_FLOATS", 200 * 8)
    rows = draw(3000)
    subject = NMSLibSearch("euclidean", dim=8)
    subject.batch_add(rows[:400], np.arange(400))
    stays = np.arange(100, 400)
    errors, counts, done = [], [0] * 4, threading.Event()

    def look_up(number):
        generator = np.random.default_rng(number)
        try:
            while not done.is_set():
                some = generator.permutation(stays)[: 1 + 9 * (number % 2)]
                k = [1, 5, 300][counts[number] % 3]
                found, distances = subject.batch_lookup(rows[some], k)
                assert found.shape == (len(some), k)
                assert (found >= 0).all() and np.isfinite(distances).all()
                assert np.mean(found[:, 0] == some) >= 0.9
                counts[number] += 1
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=look_up, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for i in range(400, 3000, 100):
        subject.batch_add(rows[i : i + 100], np.arange(i, i + 100))
        subject.remove([i, i + 1, (i - 400) // 26])
    subject.build(force=True)
    deadline = time.monotonic() + 20
    while min(counts) < 10 and not errors and time.monotonic() < deadline:
        time.sleep(0.01)
    done.set()
    for thread in threads:
        thread.join()
    assert not errors and min(counts) >= 10
    exact = subject.batch_lookup(rows, 1, exact=True)[0].ravel()
    assert (subject.batch_lookup(rows, 1)[0].ravel() == exact).mean() >= 0.98


def test_a_large_k_is_not_cut_by_a_small_one_beside_it():
    graph = graph_of(made(draw(100)))
    with graph.asked_for(5):
        assert graph._ef == 80
        with graph.asked_for(100):
            assert graph._ef == 150
            with graph.asked_for(5):
                assert graph._ef == 150
    with graph.asked_for(5):
        assert graph._ef == 80


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_child_of_a_fork_looks_up_and_saves(tmp_path):
    rows = draw(300)
    made(rows).save(tmp_path / "a")
    loaded = NMSLibSearch("euclidean", dim=8)
    loaded.load(tmp_path / "a")
    graph = graph_of(loaded)
    expected = loaded.batch_lookup(rows, 5)[0]
    graph._lock.acquire()  # as a thread that is inside at the moment of the fork
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12: threads
        child = os.fork()
    if not child:
        try:
            same = np.array_equal(loaded.batch_lookup(rows, 5)[0], expected)
            same &= loaded.lookup(rows[7], 1)[0].tolist() == [7]
            loaded.save(tmp_path / "child")
            os._exit(0 if same else 1)
        except BaseException:
            os._exit(2)
    graph._lock.release()
    loaded.save(tmp_path / "parent")
    deadline = time.monotonic() + 30
    while (ended := os.waitpid(child, os.WNOHANG)) == (0, 0):
        if time.monotonic() > deadline:
            os.kill(child, 9)
            os.waitpid(child, 0)
            pytest.fail("the child hangs")
        time.sleep(0.01)
    assert os.waitstatus_to_exitcode(ended[1]) == 0
    graphs = [next((tmp_path / name).rglob("graph.bin")) for name in "a parent".split()]
    graphs.append(next((tmp_path / "child").rglob("graph.bin")))
    assert len({graph.read_bytes() for graph in graphs}) == 1
