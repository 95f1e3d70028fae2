"""The eighteen ways in which NMSLIB loses data, crashes or answers garbage.

Each was seen on NMSLIB 2.1.2 itself; none may reach a user of `NMSLibSearch`.
"""

import pickle
import threading

import numpy as np
import pytest

from tensorflow_similarity.search import LinearSearch, NMSLibSearch

DIM = 6


def draw(n, seed=0, dim=DIM):
    return np.random.default_rng(seed).normal(size=(n, dim)).astype(np.float32)


def graph(rows, distance="cosine", **kwargs):
    subject = NMSLibSearch(distance, dim=rows.shape[1], **kwargs)
    subject.batch_add(rows, np.arange(len(rows)))
    subject.build(force=True)
    assert subject.is_built()
    return subject


def loaded(subject, path):
    subject.save(path)
    again = NMSLibSearch(subject.distance, dim=subject.dim)
    again.load(path)
    assert again.is_built() == subject.is_built()
    return again


def assert_finds(subject, rows, ids=None):
    ids = np.arange(len(rows)) if ids is None else ids
    # Built by several threads, a graph may lose sight of a row in some thousands.
    assert (subject.batch_lookup(rows, 1)[0].ravel() == ids).mean() > 0.98


def recall(subject, queries, k=10):
    found = subject.batch_lookup(queries, k)[0]
    exact = subject.batch_lookup(queries, k, exact=True)[0]
    pairs = zip(exact, found, strict=True)
    return np.mean([np.isin(a, b).mean() for a, b in pairs])


def test_1_a_loaded_graph_saved_again_keeps_its_data(tmp_path):
    rows = draw(300)
    subject = loaded(loaded(graph(rows), tmp_path / "a"), tmp_path / "b")
    sizes = [next((tmp_path / name).rglob("graph.bin")) for name in "ab"]
    assert len({file.stat().st_size for file in sizes}) == 1
    assert sizes[0].stat().st_size > rows.nbytes
    assert_finds(subject, rows)


def test_2_load_save_load_lookup_does_not_crash(tmp_path):
    rows = draw(300)
    subject = graph(rows)
    for i in range(4):
        subject = loaded(subject, tmp_path / str(i % 2))  # over the older one too
        assert_finds(subject, rows)


def test_3_rows_added_after_loading_do_not_drop_the_others(tmp_path):
    rows = draw(305)
    subject = loaded(graph(rows[:300]), tmp_path / "a")
    subject.batch_add(rows[300:], np.arange(300, 305))
    assert len(subject) == 305
    assert_finds(subject, rows)
    subject.build(force=True)
    assert_finds(subject, rows)


def test_4_rows_added_after_building_are_found_at_once():
    rows = draw(310)
    subject = graph(rows[:300])
    before = subject._state.segments
    for i in range(300, 310):
        subject.add(rows[i], i)
        assert subject.lookup(rows[i], 1)[0].tolist() == [i]
    assert subject._state.segments == before


def test_5_removing_updating_and_counting_work_built_and_loaded(tmp_path):
    rows = draw(300)
    built = graph(rows)
    for subject in (built, loaded(built, tmp_path / "a")):
        assert len(subject) == 300
        assert subject.remove([7]) == 1 and len(subject) == 299
        assert 7 not in subject.lookup(rows[7], 50)[0]
        subject.add(-rows[8], 8)
        assert subject.lookup(-rows[8], 1)[0].tolist() == [8]
        assert subject.lookup(rows[8], 1)[0].tolist() != [8]
        assert len(subject) == 299


@pytest.mark.parametrize("dim", [DIM - 1, DIM + 1, 1])
def test_6_a_wrong_width_is_an_error(dim):
    subject = graph(draw(50))
    with pytest.raises(ValueError, match=rf"shape \(n, {DIM}\)"):
        subject.batch_lookup(draw(3, dim=dim), 2)
    with pytest.raises(ValueError, match=rf"shape \(n, {DIM}\)"):
        subject.batch_add(draw(3, dim=dim), [100, 101, 102])
    assert len(subject) == 50


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_7_what_is_not_a_number_is_an_error(value):
    subject = graph(draw(50))
    bad = draw(1)
    bad[0, 2] = value
    with pytest.raises(ValueError, match="`queries`.*NaN"):
        subject.batch_lookup(bad, 2)
    with pytest.raises(ValueError, match="`embeddings`.*NaN"):
        subject.batch_add(bad, [100])
    assert len(subject) == 50


@pytest.mark.parametrize("k", [50, 100, 299, 300, 1000])
@pytest.mark.parametrize("ef", [10, None])
def test_8_an_answer_has_k_neighbours(k, ef):
    subject = graph(draw(300), query_params={"efSearch": ef} if ef else None)
    for n_queries in (1, 5):
        found, distances = subject.batch_lookup(draw(n_queries, seed=1), k)
        assert found.shape == (n_queries, min(k, 300)) and np.isfinite(distances).all()
        assert all(len(set(row)) == min(k, 300) for row in found.tolist())


def test_9_the_recall_of_the_default_is_there_built_and_loaded(tmp_path):
    rows = draw(4000, dim=16)
    subject = graph(rows)
    assert recall(subject, draw(200, seed=1, dim=16)) >= 0.98
    again = loaded(subject, tmp_path / "a")
    # NMSLIB's own default of 20 finds 0.9 of them.
    assert recall(again, draw(200, seed=1, dim=16)) >= 0.98


def test_10_a_graph_of_another_distance_is_not_taken(tmp_path):
    rows = draw(50)
    subject = graph(rows, "euclidean")
    subject.save(tmp_path / "a")
    other = NMSLibSearch("cosine", dim=DIM)
    with pytest.raises(ValueError, match="has distance 'euclidean'"):
        other.load(tmp_path / "a")
    state = other.load_state(tmp_path / "a" / "search", subject._state.vectors)
    assert state.segments == ()


def test_11_ids_of_64_bits_and_each_once():
    rows = draw(50)
    ids = np.arange(50) * 2**57 - 2**62
    subject = NMSLibSearch("cosine", dim=DIM)
    subject.batch_add(rows, ids)
    subject.build(force=True)
    assert_finds(subject, rows, ids)
    with pytest.raises(ValueError, match="`idxs` must be distinct"):
        subject.batch_add(rows[:2], [2**62, 2**62])
    subject.batch_add(rows[::-1], ids)
    subject.build(force=True)
    found = subject.lookup(rows[0], 50)[0]
    assert len(set(found.tolist())) == 50 and found[0] == ids[49]


def test_12_equal_rows_do_not_cost_the_others_recall():
    rows = draw(2500, dim=16)
    rows[500:] = rows[500]
    subject = graph(rows)
    assert recall(subject, rows[:500] + np.float32(0.01)) >= 0.98
    assert subject._state.segments[0].n_positions == 501


def test_13_exact_search_does_not_differ_between_builds():
    rows, queries = draw(2000), draw(50, seed=1)
    first, second = (graph(rows).batch_lookup(queries, 9, exact=True) for _ in "ab")
    linear = LinearSearch("cosine", dim=DIM)
    linear.batch_add(rows, np.arange(2000))
    for answer in (second, linear.batch_lookup(queries, 9)):
        np.testing.assert_array_equal(first[0], answer[0])
        np.testing.assert_array_equal(first[1], answer[1])


def test_14_lookups_go_on_while_a_graph_is_built():
    rows = draw(6000, dim=16)
    subject = graph(rows[:3000])
    subject.batch_add(rows[3000:], np.arange(3000, 6000), build=False)
    builder = threading.Thread(target=subject.build, kwargs={"force": True})
    builder.start()
    n_during = 0
    while builder.is_alive():
        assert subject.lookup(rows[10], 1)[0].tolist() == [10]
        assert subject.lookup(rows[4000], 1)[0].tolist() == [4000]
        n_during += 1
    builder.join()
    assert n_during > 0 and subject._state.is_plain


def test_14_one_query_and_many_agree():
    rows = draw(500)
    subject = graph(rows)
    found, distances = subject.batch_lookup(rows[:20], 5)
    for i in range(20):
        one = subject.lookup(rows[i], 5)
        np.testing.assert_array_equal(one[0], found[i])
        np.testing.assert_allclose(one[1], distances[i], atol=1e-6)


def test_15_unknown_parameters_are_refused_before_anything_is_built():
    with pytest.raises(ValueError, match=r"`index_params` has no 'efConstruct'"):
        NMSLibSearch("cosine", dim=DIM, index_params={"efConstruct": 5})
    with pytest.raises(ValueError, match=r"`query_params` has no 'k'"):
        NMSLibSearch("cosine", dim=DIM, query_params={"k": 5})
    assert graph(draw(50), query_params={"ef": 30}).is_built()


@pytest.mark.parametrize("content", [None, b"", b"garbage" * 99, "half"])
def test_16_a_file_that_is_no_graph_is_an_error_that_says_so(tmp_path, content):
    subject = graph(draw(100))
    subject.save(tmp_path / "a")
    file = next((tmp_path / "a").rglob("graph.bin"))
    whole = file.read_bytes()
    again = NMSLibSearch("cosine", dim=DIM)
    file.unlink()
    if content is not None:
        file.write_bytes(whole[: len(whole) // 2] if content == "half" else content)
    with pytest.raises(ValueError, match="is damaged"):
        again.load(tmp_path / "a")
    # Where nobody has compared checksums.
    with pytest.raises((ValueError, FileNotFoundError), match="graph"):
        again.load_state(tmp_path / "a" / "search", subject._state.vectors)
    assert len(again) == 0


def test_17_zero_vectors_are_at_distance_one(tmp_path):
    rows = draw(60)
    rows[:30] = 0
    found, distances = graph(rows).batch_lookup(np.zeros((2, DIM)), 60)
    assert (distances == 1).all() and sorted(found[0]) == list(range(60))
    found, distances = graph(rows).lookup(rows[40], 60)
    assert found[0] == 40 and distances[0] < 1e-6
    np.testing.assert_allclose(distances[np.isin(found, np.arange(30))], 1, atol=1e-6)


def test_17_none_and_one_row(tmp_path):
    empty = NMSLibSearch("cosine", dim=DIM).build(force=True)
    assert empty.lookup(draw(1)[0], 5)[0].shape == (0,)
    assert len(loaded(empty, tmp_path / "a")) == 0
    assert_finds(loaded(graph(draw(1)), tmp_path / "b"), draw(1))


def test_18_wide_rows_are_no_matter():
    rows = draw(40, dim=20_000)
    assert_finds(graph(rows), rows)


def test_a_configuration_is_all_that_a_copy_takes():
    """NMSLIB's own index cannot be pickled."""
    subject = graph(draw(50), recall_target=0.9)
    config = pickle.loads(pickle.dumps(subject.get_config()))
    assert NMSLibSearch.from_config(config).get_config() == subject.get_config()
