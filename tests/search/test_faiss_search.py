"""Faiss under the contract of searches: recall, units, files, and what it refuses."""

import json
import os
import signal
import sys

import numpy as np
import pytest

from tensorflow_similarity import search
from tensorflow_similarity._core.vectors import Vectors
from tensorflow_similarity.search import FaissSearch, LinearSearch, faiss_search

pytest.importorskip("faiss", reason="needs faiss-cpu: the extra `faiss`")

LISTS = ["ivfflat", "ivfsq8", "ivfpq"]
ALGOS = ["flat", "hnsw", *LISTS]
IN_LISTS = ["cosine", "inner_product", "euclidean", "squared_euclidean"]
CASES = [(algo, name) for algo in ALGOS for name in IN_LISTS]
CASES += [("flat", "manhattan"), ("hnsw", "manhattan")]


def clustered(n, dim=16, seed=0):
    """Rows of unequal lengths around 30 centres, the same for every seed."""
    centres = np.random.default_rng(99).normal(size=(30, dim))
    generator = np.random.default_rng(seed)
    rows = centres[generator.integers(0, 30, n)]
    rows = rows + 0.4 * generator.normal(size=(n, dim))
    return (rows * generator.uniform(0.7, 1.4, size=(n, 1))).astype(np.float32)


ROWS, QUERIES = clustered(3_000), clustered(60, seed=1)


def made(name, rows, **kwargs):
    if kwargs.get("algo") == "ivfpq":  # so few rows cannot train more codes
        kwargs = {"nbits": 6, "m": 8 if rows.shape[1] == 16 else None, **kwargs}
    subject = FaissSearch(name, dim=rows.shape[1], **kwargs)
    subject.batch_add(rows, np.arange(len(rows)) + 7, build=False)
    return subject.build(force=True)


@pytest.fixture(scope="module")
def built():
    """Searches over ROWS, each built once; not to be changed."""
    kept = {}

    def get(algo, name):
        if (algo, name) not in kept:
            kept[algo, name] = made(name, ROWS, algo=algo)
        return kept[algo, name]

    return get


@pytest.fixture(scope="module")
def exact():
    kept = {}

    def get(name):
        if name not in kept:
            linear = LinearSearch(name, dim=16)
            linear.batch_add(ROWS, np.arange(len(ROWS)) + 7)
            kept[name] = linear
        return kept[name]

    return get


def recall(ids, true):
    return np.mean([np.isin(a, b).mean() for a, b in zip(true, ids, strict=True)])


def assert_same(now, then):
    for a, b in zip(now, then, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(("algo", "name"), CASES)
def test_finds_nearly_all_in_the_unit_of_the_distance(algo, name, built, exact):
    subject = built(algo, name)
    assert subject.is_built()
    for k in (1, 10, 150):
        ids, found = subject.batch_lookup(QUERIES, k)
        true, distances = exact(name).batch_lookup(QUERIES, k)
        assert ids.dtype == np.int64 and found.dtype == np.float32
        assert ids.shape == found.shape == (60, k)
        # Rows of unequal lengths are harder by inner products, most of all for graphs.
        floor = 0.9 if name == "inner_product" else 0.97
        floor = 0.6 if (algo, name, k) == ("hnsw", "inner_product", 150) else floor
        assert recall(ids, true) >= floor
        assert (np.diff(found) >= 0).all()
        both = ids == true
        np.testing.assert_allclose(found[both], distances[both], rtol=1e-5, atol=1e-5)
        assert both.mean() > (0.5 if k <= 10 else 0.2)


@pytest.mark.parametrize(("algo", "name"), CASES)
def test_one_query_agrees_with_many(algo, name, built):
    subject = built(algo, name)
    ids, found = subject.batch_lookup(QUERIES[:4], 6)
    for i in range(4):
        one_ids, one = subject.lookup(QUERIES[i], 6)
        np.testing.assert_array_equal(one_ids, ids[i])
        np.testing.assert_allclose(one, found[i], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("algo", ALGOS)
def test_a_row_is_at_no_distance_from_itself(algo, built):
    for name in ("cosine", "euclidean"):
        ids, found = built(algo, name).batch_lookup(ROWS[::500], 1)
        assert ids.ravel().tolist() == list(range(7, 3_007, 500))
        np.testing.assert_allclose(found, 0, atol=1e-6)


@pytest.mark.parametrize("algo", ALGOS)
def test_no_queries_get_no_answers(algo, built):
    ids, found = built(algo, "cosine").batch_lookup(np.ones((0, 16)), 5)
    assert ids.shape == found.shape == (0, 5)


@pytest.mark.parametrize("algo", ALGOS)
def test_few_rows_forced_into_a_structure(algo):
    for n in (1, 2, 30, 90):
        rows = clustered(n, dim=5, seed=n)
        ids, _ = made("euclidean", rows, algo=algo).batch_lookup(rows, n)
        assert all(sorted(row) == list(range(7, n + 7)) for row in ids.tolist())
        assert ids[:, 0].tolist() == list(range(7, n + 7))


@pytest.mark.parametrize("algo", ALGOS)
def test_rows_without_a_direction_are_at_distance_one(algo):
    rows = clustered(400, dim=4)
    rows[5] = 0
    queries = np.concatenate([rows[:3], np.zeros((1, 4), np.float32)])
    ids, found = made("cosine", rows, algo=algo).batch_lookup(queries, 400)
    assert (found[3] == 1).all()
    np.testing.assert_array_equal(found[:3][ids[:3] == 12], 1)
    assert (np.diff(found) >= 0).all() and ids[0, 0] == 7


@pytest.mark.parametrize("algo", ["hnsw", "ivfflat", "ivfpq"])
def test_removed_rows_go_and_added_ones_are_found_at_once(algo):
    subject = made("euclidean", ROWS, algo=algo)
    assert subject.remove(range(7, 1007)) == 1000
    subject.batch_add(QUERIES, np.arange(60) + 100_000, build=False)
    ids, found = subject.batch_lookup(QUERIES, 10)
    assert ids[:, 0].tolist() == list(range(100_000, 100_060))
    np.testing.assert_allclose(found[:, 0], 0, atol=1e-6)
    assert not np.isin(ids, np.arange(7, 1007)).any()
    linear = LinearSearch("euclidean", dim=16)
    linear.batch_add(ROWS[1000:], np.arange(1007, 3_007))
    linear.batch_add(QUERIES, np.arange(60) + 100_000)
    assert recall(ids, linear.batch_lookup(QUERIES, 10)[0]) >= 0.97


@pytest.mark.parametrize("algo", ALGOS)
def test_a_saved_search_answers_alike(algo, built, tmp_path):
    subject = built(algo, "cosine")
    expected = subject.batch_lookup(QUERIES, 10)
    for path in (tmp_path / "a", tmp_path / "b"):  # the second from a loaded one
        subject.save(path)
        subject = FaissSearch("cosine", dim=16, algo=algo)
        subject.load(path)
        assert subject.is_built()
        for file in path.rglob("index.faiss"):
            file.unlink()
        assert_same(subject.batch_lookup(QUERIES, 10), expected)


@pytest.mark.skipif(sys.platform == "win32", reason="Faiss maps no files on Windows")
@pytest.mark.parametrize("algo", LISTS)
def test_a_mapped_file_answers_alike_and_is_saved_again(algo, built, tmp_path):
    expected = built(algo, "euclidean").batch_lookup(QUERIES, 10)
    built(algo, "euclidean").save(tmp_path / "a")
    mapped = FaissSearch("euclidean", dim=16, algo=algo, mmap=True)
    mapped.load(tmp_path / "a")
    assert_same(mapped.batch_lookup(QUERIES, 10), expected)
    (file,) = (tmp_path / "a").rglob("index.faiss")
    content = file.read_bytes()
    file.unlink()
    assert_same(mapped.batch_lookup(QUERIES, 10), expected)
    mapped.save(tmp_path / "b")
    (copy,) = (tmp_path / "b").rglob("index.faiss")
    assert copy.read_bytes() == content


def test_a_file_of_something_else_is_refused(tmp_path):
    subject = FaissSearch("cosine", dim=16)
    (tmp_path / "index.faiss").write_bytes(b"not of Faiss" * 9)
    with pytest.raises(ValueError, match="is not a file of Faiss"):
        subject._load(tmp_path, 400)
    small = made("cosine", clustered(400))
    small._save(small._build(*_vectors(400)), tmp_path)
    with pytest.raises(ValueError, match="400 rows of width 16 in place of 399"):
        subject._load(tmp_path, 399)


def _vectors(n):
    return Vectors(16).append(clustered(n)), np.arange(n)


def test_the_same_rows_give_the_same_structure(built):
    again = made("cosine", ROWS, algo="ivfpq").batch_lookup(QUERIES, 10)
    assert_same(again, built("ivfpq", "cosine").batch_lookup(QUERIES, 10))


def test_small_indexes_are_searched_exactly():
    subject = FaissSearch("cosine", dim=16)
    subject.batch_add(ROWS, np.arange(len(ROWS)))
    assert not subject.is_built()
    assert subject._wants_structure(125_000)


def test_configuration_goes_through_keras_and_json():
    given = {"algo": "ivf-pq", "m": 4, "nbits": 6, "nlist": 50, "nprobe": 5}
    subject = FaissSearch("l2", 16, **given, mmap=sys.platform != "win32", rescore=4)
    again = search.get(json.loads(json.dumps(search.serialize(subject))))
    assert type(again) is FaissSearch and again.get_config() == subject.get_config()
    assert (again.algo, again.m, again.nprobe, again.rescore) == ("ivfpq", 4, 5, 4)
    assert type(search.get("Faiss", "l2", 3)) is FaissSearch


def test_given_lists_and_codes_are_used():
    kwargs = {"algo": "ivfpq", "m": 4, "nbits": 6, "nlist": 50, "nprobe": 5}
    index = made("l2", ROWS, **kwargs)._build(*_vectors(3_000)).index
    assert (index.nlist, index.nprobe, index.pq.M, index.pq.nbits) == (50, 5, 4, 6)


def test_what_faiss_cannot_do_is_refused():
    with pytest.raises(ValueError, match=r"'snr'.*'cosine'.*search='linear'"):
        FaissSearch("snr", dim=4)
    with pytest.raises(ValueError, match=r"'manhattan' with algo 'ivfpq'.*'hnsw' and"):
        FaissSearch("manhattan", dim=4)
    with pytest.raises(ValueError, match=r"Unknown algo 'lsh'.*'ivfpq'"):
        FaissSearch("cosine", dim=4, algo="lsh")
    with pytest.raises(ValueError, match=r"`m` must divide.*12.*\[1, 2, 3, 4, 6, 12\]"):
        FaissSearch("cosine", dim=12, m=8)
    with pytest.raises(ValueError, match="`nbits` must be an integer from 1 to 16"):
        FaissSearch("cosine", dim=4, nbits=17)
    for name in ("m", "nlist", "nprobe"):
        with pytest.raises(ValueError, match=f"`{name}` must be an integer of at lea"):
            FaissSearch("cosine", dim=4, **{name: 0})
    with pytest.raises(ValueError, match=r"`mmap=True` needs lists.*'hnsw'"):
        FaissSearch("cosine", dim=4, algo="hnsw", mmap=True)


def test_a_missing_faiss_is_said_with_the_cure(monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    faiss_module = faiss_search.faiss_module.__wrapped__
    monkeypatch.setattr(faiss_search, "faiss_module", faiss_module)
    with pytest.raises(ImportError, match=r"pip install tensorflow_similarity\[faiss"):
        FaissSearch("cosine", dim=4)


def test_training_apart_is_not_needed():
    subject = FaissSearch("cosine", dim=16)
    subject.train_index(ROWS)
    assert not subject.is_built() and len(subject) == 0


def test_nothing_is_printed(capfd):
    for algo in ALGOS:
        made("cosine", clustered(300), algo=algo).batch_lookup(QUERIES, 3)
    made("cosine", ROWS, algo="ivfpq", nlist=5_000)
    made("cosine", ROWS, algo="ivfsq8", nlist=5_000)
    assert capfd.readouterr() == ("", "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_answers(built):
    subject = built("ivfflat", "cosine")
    expected, _ = subject.batch_lookup(QUERIES, 5)
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        os._exit(0 if (subject.batch_lookup(QUERIES, 5)[0] == expected).all() else 3)
    assert os.waitpid(child, 0)[1] == 0
