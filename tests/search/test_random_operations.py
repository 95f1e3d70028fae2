"""Thousands of random calls, each answer held against a dictionary of rows."""

import numpy as np
import pytest

from tensorflow_similarity.search import LinearSearch, NMSLibSearch
from tensorflow_similarity.search import nmslib_search as nmslib_module

DIM = 8
# Rows that are worth a graph, so that a few hundred make several segments.
SHORT = 60
KINDS = {
    "linear": lambda: LinearSearch("euclidean", dim=DIM),
    "nmslib": lambda: NMSLibSearch("euclidean", dim=DIM),
    "nmslib-rescore": lambda: NMSLibSearch("euclidean", dim=DIM, rescore=2),
    "nmslib-target": lambda: NMSLibSearch("euclidean", dim=DIM, recall_target=0.99),
}


class Walk:
    """One search and the dictionary that it must agree with."""

    def __init__(self, make, folder, seed):
        self.make, self.folder = make, folder
        self.generator = np.random.default_rng(seed)
        self.subject, self.rows, self.next_id = make(), {}, 0
        self.hits, self.wanted, self.most_segments = 0, 0, 0

    def draw(self, n):
        """Points around centres; one in ten an exact copy of one that is there."""
        centres = np.random.default_rng(0).normal(size=(40, DIM))
        rows = centres[self.generator.integers(0, 40, n)]
        rows = rows + 0.3 * self.generator.normal(size=rows.shape)
        rows = rows.astype(np.float32)
        if self.rows:
            present = list(self.rows.values())
            for i in np.flatnonzero(self.generator.random(n) < 0.1):
                rows[i] = present[self.generator.integers(len(present))]
        return rows

    def some_ids(self, n):
        present = np.array(list(self.rows), np.int64)
        return self.generator.permutation(present)[:n]

    def add(self):
        n = int(self.generator.integers(1, 20))
        ids = np.arange(self.next_id, self.next_id + n) * 3 - 500
        self.next_id += n
        self.put(ids)

    def upsert(self):
        self.put(self.some_ids(int(self.generator.integers(1, 6))))

    def put(self, ids):
        rows = self.draw(len(ids))
        self.subject.batch_add(rows, ids, build=bool(self.generator.random() < 0.7))
        self.rows.update(zip(ids.tolist(), rows, strict=True))

    def remove(self):
        ids = self.some_ids(int(self.generator.integers(1, 15)))
        assert self.subject.remove([*ids.tolist(), 10**9]) == len(ids)
        for i in ids.tolist():
            del self.rows[i]

    def remove_most(self):
        ids = self.some_ids(int(len(self.rows) * 0.8))
        self.subject.remove(ids)
        for i in ids.tolist():
            del self.rows[i]

    def build(self):
        self.subject.build(force=bool(self.generator.random() < 0.2))

    def save_and_load(self):
        self.subject.save(self.folder)
        built = self.subject.is_built()
        self.subject = self.make()
        self.subject.load(self.folder)
        assert self.subject.is_built() == built

    def table(self, queries):
        rows = np.stack(list(self.rows.values())).astype(float)
        return np.sqrt(((queries[:, None] - rows) ** 2).sum(axis=2))

    def look_up(self, exact=False):
        k = int(self.generator.choice([1, 10, 10, 10, 60]))
        queries = self.draw(int(self.generator.integers(1, 4)))
        ids, found = self.subject.batch_lookup(queries, k, exact=exact)
        self.judge(queries, ids, found, k, np.ones(len(self.rows), bool), exact)

    def look_up_exactly(self):
        self.look_up(exact=True)

    def look_up_masked(self):
        """As an index does it behind a filter."""
        exact = bool(self.generator.random() < 0.5)
        state, held = self.subject._held
        allowed = self.generator.random(len(held)) < self.generator.choice([0.03, 0.5])
        state = self.subject.follow(state, state.vectors.masked(allowed))
        queries = self.draw(2)
        rows, found = self.subject.find(state, queries, 10, exact)
        among = np.isin(list(self.rows), held[allowed & ~self.gone(held)])
        self.judge(queries, held[rows], found, 10, among, exact)

    def gone(self, held):
        dead = self.subject._state.vectors.dead
        return np.zeros(len(held), bool) if dead is None else dead

    def judge(self, queries, ids, found, k, among, exact):
        """`among`: which rows of the dictionary may be answered."""
        keys = np.array(list(self.rows), np.int64)
        table = np.where(among, self.table(queries) if len(keys) else 0, np.inf)
        n = min(k, int(among.sum()))
        assert ids.shape == found.shape == (len(queries), n)
        for i in range(len(queries) if n else 0):
            assert len(set(ids[i].tolist())) == n
            own = dict(zip(keys.tolist(), table[i].tolist(), strict=True))
            values = [own[j] for j in ids[i].tolist()]  # KeyError: it was removed
            assert np.isfinite(values).all()  # or not allowed
            np.testing.assert_allclose(found[i], values, rtol=1e-4, atol=1e-4)
            assert (np.diff(found[i]) >= 0).all()
            best = np.sort(table[i])[:n]
            if exact or not self.subject.is_built():
                np.testing.assert_allclose(values, best, rtol=1e-5, atol=1e-5)
            self.hits += int((np.array(values) <= best[-1] + 1e-5).sum())
            self.wanted += n

    def run(self, n_steps):
        often = [self.look_up] * 4 + [self.look_up_masked] * 2
        steps = [self.add, self.add, self.upsert, self.remove, self.build, *often]
        for i in range(n_steps):
            if i % 40 == 39:
                self.save_and_load()
            elif i % 50 == 49:
                self.look_up_exactly()
            elif i % 600 == 599:
                self.remove_most()
            else:
                steps[self.generator.integers(len(steps))]()
            assert len(self.subject) == len(self.rows)
            segments = len(self.subject._state.segments)
            self.most_segments = max(self.most_segments, segments)


def walk(kind, n_steps, tmp_path, monkeypatch, seed):
    monkeypatch.setattr(nmslib_module, "_EXACT_FLOATS", SHORT * DIM)
    subject = Walk(KINDS[kind], tmp_path / "saved", seed)
    subject.run(n_steps)
    assert subject.hits / subject.wanted >= (1.0 if kind == "linear" else 0.98)
    assert subject.most_segments >= (0 if kind == "linear" else 3)


@pytest.mark.parametrize("kind", KINDS)
def test_random_calls_agree_with_a_dictionary(kind, tmp_path, monkeypatch):
    walk(kind, 500, tmp_path, monkeypatch, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_ten_thousand_random_calls_agree_with_a_dictionary(kind, tmp_path, monkeypatch):
    walk(kind, 10_000, tmp_path, monkeypatch, seed=2)
