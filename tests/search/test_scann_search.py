"""ScaNN under the contract of searches: recall, units, files, and what it refuses."""

import json
import os
import signal
import sys

import numpy as np
import pytest

from tensorflow_similarity import search
from tensorflow_similarity._core.vectors import Vectors
from tensorflow_similarity.search import (
    LinearSearch,
    ScaNNSearch,
    scann_module,
    scann_search,
)

pytest.importorskip("scann", reason="needs scann-core: the extra `scann`, Linux only")

NAMES = ["cosine", "inner_product", "euclidean", "squared_euclidean"]
DIM = 16


def clustered(n, seed=0, unequal=0.0):
    """Rows around 30 centres, the same for every seed; of length 1 or unequal."""
    centres = np.random.default_rng(99).normal(size=(30, DIM))
    generator = np.random.default_rng(seed)
    rows = centres[generator.integers(0, 30, n)]
    rows = rows + 0.4 * generator.normal(size=(n, DIM))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    lengths = 1 + unequal * generator.uniform(-1, 1, size=(n, 1))
    return (rows * lengths).astype(np.float32)


ROWS, QUERIES = clustered(4_000), clustered(60, seed=1)


@pytest.fixture(scope="module", autouse=True)
def leaves_for_few():
    """Leaves and codes from 1,000 rows on, which is quicker to test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scann_search, "_LEAST_FOR_LEAVES", 1_000)
        yield


def made(name, rows, cls=ScaNNSearch, **kwargs):
    subject = cls(name, dim=DIM, **kwargs)
    subject.batch_add(rows, np.arange(len(rows)) + 7, build=False)
    return subject.build(force=True)


@pytest.fixture(scope="module")
def built():
    """Searches over ROWS, each built once; not to be changed."""
    kept = {}

    def get(name):
        if name not in kept:
            kept[name] = made(name, ROWS)
        return kept[name]

    return get


def recall(ids, true):
    return np.mean([np.isin(a, b).mean() for a, b in zip(true, ids, strict=True)])


def assert_same(now, then):
    for a, b in zip(now, then, strict=True):
        np.testing.assert_array_equal(a, b)


def assert_near(subject, linear, k):
    ids, found = subject.batch_lookup(QUERIES, k)
    true, distances = linear.batch_lookup(QUERIES, k)
    assert ids.dtype == np.int64 and found.dtype == np.float32
    assert ids.shape == found.shape == (60, k)
    assert recall(ids, true) >= 0.97
    assert (np.diff(found) >= 0).all()
    both = ids == true
    np.testing.assert_allclose(found[both], distances[both], rtol=1e-5, atol=1e-5)
    assert both.mean() > 0.5


@pytest.mark.parametrize("name", NAMES)
def test_finds_nearly_all_in_the_unit_of_the_distance(name, built):
    linear = made(name, ROWS, LinearSearch)
    for k in (1, 10, 150):
        assert_near(built(name), linear, k)


@pytest.mark.parametrize("name", ["inner_product", "euclidean"])
def test_rows_of_unequal_lengths(name):
    rows = clustered(3_000, unequal=0.4)
    assert_near(made(name, rows), made(name, rows, LinearSearch), 10)


@pytest.mark.parametrize("name", NAMES)
def test_without_a_copy_of_the_rows_the_layer_measures(name):
    subject = made(name, ROWS, reorder=0)
    assert (
        subject.rescore == 30 and subject._state.segments[0].structure.n_measured == 0
    )
    assert_near(subject, made(name, ROWS, LinearSearch), 10)


def test_one_query_agrees_with_many(built):
    ids, found = built("cosine").batch_lookup(QUERIES[:4], 6)
    for i in range(4):
        one_ids, one = built("cosine").lookup(QUERIES[i], 6)
        np.testing.assert_array_equal(one_ids, ids[i])
        np.testing.assert_allclose(one, found[i], rtol=1e-5, atol=1e-6)
    assert built("cosine").batch_lookup(np.ones((0, DIM)), 5)[0].shape == (0, 5)


@pytest.mark.parametrize("name", ["cosine", "euclidean"])
def test_a_row_is_at_no_distance_from_itself(name, built):
    ids, found = built(name).batch_lookup(ROWS[::300], 1)
    assert ids.ravel().tolist() == list(range(7, 4_007, 300))
    np.testing.assert_allclose(found, 0, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_few_rows_forced_into_a_structure(name):
    for n in (1, 2, 90):
        rows = clustered(n, seed=n)
        ids, _ = made(name, rows).batch_lookup(rows, n)
        assert all(sorted(row) == list(range(7, n + 7)) for row in ids.tolist())


def test_rows_without_a_direction_are_at_distance_one():
    rows = clustered(1_200)
    rows[5] = 0
    queries = np.concatenate([rows[:3], np.zeros((1, DIM), np.float32)])
    ids, found = made("cosine", rows).batch_lookup(queries, 1_000)
    np.testing.assert_allclose(found[3], 1)
    np.testing.assert_array_equal(found[ids == 12], 1)


def test_removed_rows_go_and_added_ones_are_found_at_once():
    subject = made("euclidean", ROWS)
    assert subject.remove(range(7, 407)) == 400
    subject.batch_add(QUERIES, np.arange(60) + 100_000, build=False)
    ids, found = subject.batch_lookup(QUERIES, 10)
    assert ids[:, 0].tolist() == list(range(100_000, 100_060))
    assert not np.isin(ids, np.arange(7, 407)).any()


def test_a_saved_search_answers_alike_and_holds_no_pickle(built, tmp_path):
    subject = built("euclidean")
    expected = subject.batch_lookup(QUERIES, 10)
    for path in (tmp_path / "a", tmp_path / "b"):  # the second from a loaded one
        subject.save(path)
        names = {file.name for file in path.rglob("*") if file.is_file()}
        assert "scann_assets.pbtxt" in names
        assert not any(name.endswith((".pkl", ".pickle")) for name in names)
        subject = ScaNNSearch("euclidean", dim=DIM)
        subject.load(path)
        assert subject.is_built()
        for file in path.rglob("*.*"):
            if file.parent.name == "structure":
                file.unlink()
        assert_same(subject.batch_lookup(QUERIES, 10), expected)


def test_a_folder_with_a_pickle_or_of_something_else_is_refused(tmp_path):
    subject = ScaNNSearch("cosine", dim=DIM)
    with pytest.raises(ValueError, match="does not hold a searcher of ScaNN"):
        subject._load(tmp_path, 300)
    vectors = Vectors(DIM).append(clustered(300))
    subject._save(subject._build(vectors, np.arange(300)), tmp_path)
    assert subject._load(tmp_path, 300).n_rows == 300
    with pytest.raises(ValueError, match="holds 300 rows in place of 299"):
        subject._load(tmp_path, 299)
    (tmp_path / "scann_docids.pkl").write_bytes(b"")
    with pytest.raises(ValueError, match=r"'scann_docids\.pkl', a pickle"):
        subject._load(tmp_path, 300)


def test_under_fifty_thousand_rows_are_searched_exactly():
    subject = ScaNNSearch("cosine", dim=64)
    assert not subject._wants_structure(49_999) and subject._wants_structure(50_000)
    assert not ScaNNSearch("cosine", dim=4)._wants_structure(50_000)


def test_configuration_goes_through_keras_and_json():
    given = {"n_leaves": 30, "leaves_to_search": 9, "reorder": 50, "rescore": 2}
    subject = ScaNNSearch("l2", DIM, **given)
    again = search.get(json.loads(json.dumps(search.serialize(subject))))
    assert type(again) is ScaNNSearch and again.get_config() == subject.get_config()
    structure = made("l2", ROWS, **given)._state.segments[0].structure
    assert (structure.n_leaves, structure.n_searched) == (30, 9)
    assert structure.n_measured == 50
    assert type(search.get("ScaNN", "l2", 3)) is ScaNNSearch


def test_what_scann_cannot_do_is_refused():
    for name in ("snr", "manhattan"):
        with pytest.raises(ValueError, match=rf"'{name}'.*'cosine'.*search='linear'"):
            ScaNNSearch(name, dim=4)
    for name in ("n_leaves", "leaves_to_search"):
        with pytest.raises(ValueError, match=f"`{name}` must be an integer of at lea"):
            ScaNNSearch("cosine", dim=4, **{name: 0})
    with pytest.raises(ValueError, match="`reorder` must be an integer of at least 0"):
        ScaNNSearch("cosine", dim=4, reorder=-1)


def test_a_missing_scann_is_said_with_the_cure(monkeypatch):
    monkeypatch.setitem(sys.modules, "scann", None)
    with pytest.raises(ImportError, match=r"pip install tensorflow_similarity\[scann"):
        ScaNNSearch("cosine", dim=4)
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(ImportError, match="needs Linux"):
        ScaNNSearch("cosine", dim=4)


def test_nothing_is_printed_and_what_others_print_is_kept(capfd):
    made("cosine", clustered(1_500)).batch_lookup(QUERIES, 3)
    assert capfd.readouterr() == ("", "")
    with scann_module.quiet():
        os.write(2, b"I0101 a note\nW0101 another\nE0101 an error\nof others\n")
    assert capfd.readouterr().err == "E0101 an error\nof others\n"


def test_a_forked_process_answers(built):
    subject = built("cosine")
    expected, _ = subject.batch_lookup(QUERIES, 5)
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        os._exit(0 if (subject.batch_lookup(QUERIES, 5)[0] == expected).all() else 3)
    assert os.waitpid(child, 0)[1] == 0
