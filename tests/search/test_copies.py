"""Equal rows stand once in a structure, and each is named in answers."""

import numpy as np
import pytest

from tensorflow_similarity._core import vectors as vectors_module
from tensorflow_similarity._core.vectors import Vectors
from tensorflow_similarity.search import LinearSearch, NMSLibSearch, copies
from tensorflow_similarity.search.copies import collapsed


def groups_of(rows):
    """Sets of equal rows, by plain comparison."""
    groups = {}
    for i, row in enumerate(rows.tolist()):
        groups.setdefault(tuple(row), []).append(i)
    return sorted(groups.values())


@pytest.mark.parametrize("dim", [1, 3, 8])
@pytest.mark.parametrize("seed", range(4))
def test_copies_are_the_equal_rows(dim, seed, monkeypatch):
    monkeypatch.setattr(vectors_module, "_BLOCK_BYTES", 64)
    monkeypatch.setattr(copies, "_HASH_NUMBERS", 50)
    generator = np.random.default_rng(seed)
    rows = generator.integers(-2, 3, (150, dim)).astype(np.float32)
    rows[::7] *= -1.0  # zeros of both signs are equal
    some = np.sort(generator.permutation(150)[:120])
    kept, found = collapsed(Vectors(dim).append(rows), some)
    expected = [[int(some[i]) for i in group] for group in groups_of(rows[some])]
    assert kept.tolist() == sorted(group[0] for group in expected)
    several = sorted(group for group in expected if len(group) > 1)
    if found is None:
        assert len(kept) == len(some)
        assert sum(map(len, several)) - len(several) <= 1
        return
    parts = [part.tolist() for part in np.split(found.rows, found.ends[:-1])]
    assert parts == several and found.ends[-1] == len(found.rows)
    assert kept[found.positions].tolist() == [group[0] for group in several]
    assert found.n_further == len(some) - len(kept)


def test_rows_with_the_same_hash_are_compared(monkeypatch):
    def alike(vectors, rows):
        return np.zeros(len(rows), np.uint64)

    monkeypatch.setattr(copies, "_hashes", alike)
    rows = np.repeat(np.arange(20, dtype=np.float32), 10)[:, None]
    kept, found = collapsed(Vectors(1).append(rows), np.arange(200))
    assert kept.tolist() == list(range(0, 200, 10)) and len(found.positions) == 20
    kept, found = collapsed(Vectors(1).append(rows[::10].copy()), np.arange(20))
    assert len(kept) == 20 and found is None


def test_a_few_copies_are_left_where_they_are():
    rows = np.random.default_rng(0).normal(size=(1000, 3)).astype(np.float32)
    rows[1:8] = rows[0]
    kept, found = collapsed(Vectors(3).append(rows), np.arange(1000))
    assert found is None and len(kept) == 1000
    rows[8] = rows[0]  # one more than do no harm
    kept, found = collapsed(Vectors(3).append(rows), np.arange(1000))
    assert kept.tolist() == [0, *range(9, 1000)]
    assert found.rows.tolist() == list(range(9))


@pytest.mark.parametrize("seed", range(5))
def test_answers_name_each_copy_that_is_there(seed):
    """The arithmetic of arrays against loops."""
    generator = np.random.default_rng(seed)
    rows = generator.integers(0, 40, 200).astype(np.float32)[:, None]
    kept, found = collapsed(Vectors(1).append(rows), np.arange(200))
    dead = generator.random(200) < 0.4 if seed else None
    positions = np.array([generator.permutation(len(kept))[:12] for _ in range(9)])
    positions[:, 9:] = -1
    distances = np.sort(generator.random((9, 12)).astype(np.float32), axis=1)
    for n in (1, 5, 30):
        answer, values = found.living(dead).expanded(
            positions, distances, kept.astype(np.int32), dead, n
        )
        for i in range(9):
            expected = []
            for position, value in zip(positions[i, :9], distances[i], strict=False):
                for row in np.flatnonzero(rows[:, 0] == rows[kept[position], 0]):
                    if dead is None or not dead[row]:
                        expected.append((row, value))
            expected = (expected + [(-1, np.inf)] * n)[:n]
            assert answer[i].tolist() == [row for row, _ in expected]
            assert values[i].tolist() == [value for _, value in expected]


def clustered(n, n_equal, seed=0):
    """Rows around 300 centres, so many of them one and the same."""
    generator = np.random.default_rng(seed)
    centres = generator.normal(size=(300, 16))
    rows = centres[generator.integers(0, 300, n)]
    rows = (rows + 0.3 * generator.normal(size=rows.shape)).astype(np.float32)
    equal = generator.permutation(n)[:n_equal]
    rows[equal] = rows[equal[0]]
    return rows, equal, generator


@pytest.mark.parametrize(("name", "n_equal"), [("cosine", 1000), ("euclidean", 5000)])
def test_copies_do_not_cost_the_others_recall(name, n_equal):
    rows, equal, generator = clustered(10_000, n_equal)
    subject = NMSLibSearch(name, dim=16)
    subject.batch_add(rows, np.arange(10_000))
    subject.build(force=True)
    assert subject._state.segments[0].n_positions == 10_000 - n_equal + 1
    distinct = np.setdiff1d(np.arange(10_000), equal)
    queries = rows[distinct[:400]] + 0.01
    found, _ = subject.batch_lookup(queries, 10)
    expected, values = subject.batch_lookup(queries, 10, exact=True)
    hits = [np.isin(a, b).mean() for a, b in zip(expected, found, strict=True)]
    assert np.mean(hits) >= 0.99
    # The copies themselves, all of them and then those that are left.
    query = rows[equal[:2]]
    for left in (np.sort(equal), np.sort(equal)[::3]):
        subject.remove(np.setdiff1d(equal, left))
        for k in (10, len(left), len(left) + 5):
            found, values = subject.batch_lookup(query, k)
            n = min(k, len(left))
            assert np.isin(found[:, :n], left).all()
            assert all(len(set(row)) == k for row in found.tolist())
            np.testing.assert_allclose(values[:, :n], 0, atol=1e-3)
            assert (values[:, n:] > 1e-3).all()
    subject.remove(equal)
    found, _ = subject.batch_lookup(query, 10)
    assert not np.isin(found, equal).any()


def test_every_row_a_copy():
    rows = np.random.default_rng(0).normal(size=(100, 4)).astype(np.float32)
    rows = np.concatenate([rows, rows, rows])
    subject = NMSLibSearch("euclidean", dim=4)
    subject.batch_add(rows, np.arange(300))
    subject.build(force=True)
    exact = LinearSearch("euclidean", dim=4)
    exact.batch_add(rows, np.arange(300))
    for gone in (np.arange(0), np.arange(100), np.arange(150, 200)):
        subject.remove(gone)
        exact.remove(gone)
        for k in (1, 2, 3, 7, 40):
            for queries in (rows[:1], rows[:30]):
                found, values = subject.batch_lookup(queries, k)
                expected, true = exact.batch_lookup(queries, k)
                np.testing.assert_allclose(values, true, rtol=1e-5, atol=1e-6)
                np.testing.assert_array_equal(np.sort(found), np.sort(expected))
