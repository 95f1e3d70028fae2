"""An index against a dictionary and exact search, under random operations.

Every search and store stands the same: what was added is found, what was removed is
not, filters are exact, and files bring it all back.
"""

import contextlib

import keras
import numpy as np
import pytest

from tensorflow_similarity.indexer import Indexer
from tensorflow_similarity.search import (
    FaissSearch,
    LinearSearch,
    NMSLibSearch,
    ScaNNSearch,
)
from tensorflow_similarity.stores import MemoryStore, RedisStore, SQLiteStore
from tests.redis_server import started

DIM, K = 8, 10


@keras.saving.register_keras_serializable(package="tests_random_operations")
class SmallSegments(NMSLibSearch):
    """A graph from forty rows on, so that there are many of them."""

    def _wants_structure(self, n_rows):
        return n_rows >= 40


@keras.saving.register_keras_serializable(package="tests_random_operations")
class SmallLists(FaissSearch):
    """Faiss from forty rows on."""

    def _wants_structure(self, n_rows):
        return n_rows >= 40


@keras.saving.register_keras_serializable(package="tests_random_operations")
class SmallPartitions(ScaNNSearch):
    """ScaNN from a hundred rows on."""

    def _wants_structure(self, n_rows):
        return n_rows >= 100


class World:
    """The index, and what it should hold: id -> (row, label, shelf)."""

    def __init__(self, search, store, folder, seed):
        self.make = {
            "linear": lambda: LinearSearch("euclidean", DIM),
            "nmslib": lambda: SmallSegments("euclidean", DIM),
            "faiss": lambda: SmallLists("euclidean", DIM, algo="ivfflat"),
            "scann": lambda: SmallPartitions("euclidean", DIM),
        }[search]
        self.exact = search == "linear"
        self.rng = np.random.default_rng(seed)
        self.folder = folder
        self.indexer = Indexer(DIM, "euclidean", search=self.make(), kv_store=store)
        self.items, self.removed, self.n_made = {}, set(), 0
        self.hits = self.asked = 0

    def some(self, n):
        names = list(self.items)
        return [names[i] for i in self.rng.permutation(len(names))[:n]]

    def put(self, names):
        n = len(names)
        rows = self.rng.normal(size=(n, DIM)).astype("float32")
        if n > 3 and self.rng.random() < 0.3:
            rows[1:3] = rows[0]  # exact duplicates
        labels = self.rng.integers(5, size=n)
        shelves = self.rng.integers(6, size=n)
        self.indexer.batch_add(
            rows,
            labels,
            data=[f"data of {name}" for name in names],
            ids=names,
            metadata={"shelf": shelves},
            build=bool(self.rng.random() < 0.7),
        )
        for i, name in enumerate(names):
            self.items[name] = (rows[i], int(labels[i]), int(shelves[i]))
            self.removed.discard(name)

    def add(self):
        n = int(self.rng.integers(1, 30))
        self.put([f"n{i}" for i in range(self.n_made, self.n_made + n)])
        self.n_made += n

    def upsert(self):
        self.put(self.some(self.rng.integers(1, 12)))

    def remove(self):
        names = self.some(self.rng.integers(1, 10))
        assert self.indexer.remove([*names, "never there"]) == len(names)
        for name in names:
            del self.items[name]
        self.removed.update(names)

    def relabel(self):
        names = self.some(3)
        self.indexer.relabel(names, [9] * len(names))
        for name in names:
            row, _, shelf = self.items[name]
            self.items[name] = (row, 9, shelf)

    def save_and_load(self):
        self.indexer.save(self.folder)
        if self.indexer.store.persistent:
            self.indexer.store.close()
        mapped = bool(self.rng.random() < 0.5)
        self.indexer = Indexer.load(self.folder, mapped=mapped)

    def vacuum(self):
        self.indexer.vacuum()

    def build(self):
        self.indexer.build(force=bool(self.rng.random() < 0.3))

    def lookup(self):
        self.check(None, list(self.items))

    def filtered(self):
        shelf, label = int(self.rng.integers(7)), int(self.rng.integers(6))
        where = {"shelf": {"<": shelf}, "label": {"!=": label}}
        names = [n for n, (_, y, s) in self.items.items() if s < shelf and y != label]
        self.check(where, names)

    def check(self, where, names):
        queries = self.rng.normal(size=(4, DIM)).astype("float32")
        lookups = self.indexer.batch_lookup(queries, k=K, where=where)
        found = [[one.id for one in row] for row in lookups]
        size = min(K, len(names))
        assert [len(row) for row in found] == [size] * 4
        rows = np.array([self.items[name][0] for name in names]).reshape(-1, DIM)
        gaps = np.linalg.norm(rows[None].astype(float) - queries[:, None], axis=-1)
        for row, query_gaps in zip(lookups, gaps, strict=True):
            assert not {one.id for one in row} & self.removed
            assert len({one.id for one in row}) == size
            for one in row:
                kept, label, shelf = self.items[one.id]
                assert (one.label, one.metadata) == (label, {"shelf": shelf})
                assert one.data == f"data of {one.id}"
                np.testing.assert_array_equal(one.embedding, kept)
            distances = np.array([one.distance for one in row])
            nearest = np.sort(query_gaps)[:size]
            assert (np.diff(distances) >= 0).all()
            if self.exact or where is not None:
                np.testing.assert_allclose(distances, nearest, rtol=1e-5, atol=1e-6)
            limit = nearest[-1] * (1 + 1e-5) if size else 0
            self.hits += int((distances <= limit).sum())
            self.asked += size

    def run(self, n):
        operations = {
            **dict.fromkeys((self.add, self.lookup, self.filtered), 0.2),
            **dict.fromkeys((self.remove, self.upsert), 0.12),
            **dict.fromkeys((self.relabel, self.build, self.save_and_load), 0.045),
            self.vacuum: 0.025,
        }
        self.put(["first", "second"])
        chosen = self.rng.choice(len(operations), n, p=list(operations.values()))
        for number in chosen.tolist():
            # Of a growing index the beginning repeats: the size stays below 2,000.
            if len(self.items) > 2000:
                self.indexer.remove(self.some(0) or list(self.items)[:500])
                for name in list(self.items)[:500]:
                    del self.items[name]
                    self.removed.add(name)
            if len(self.items) > 20:
                list(operations)[number]()
            else:
                self.add()
            assert len(self.indexer) == len(self.items)
        assert [item.id for item in self.indexer] and self.asked
        assert self.hits / self.asked >= 0.98


@contextlib.contextmanager
def made(store, folder):
    """A new store of this kind; Redis with a server of its own."""
    if store == "memory":
        yield MemoryStore()
    elif store == "sqlite":
        yield SQLiteStore(folder / "store", durable=False)
    else:
        folder.joinpath("redis").mkdir()
        with started(folder / "redis") as server:
            yield RedisStore(url=f"unix://{server.socket}", prefix="random")


@pytest.mark.parametrize("store", ["memory", "sqlite", "redis"])
@pytest.mark.parametrize("search", ["linear", "nmslib", "faiss", "scann"])
@pytest.mark.parametrize(
    ("n", "seed"), [(120, 1), pytest.param(10_000, 2, marks=pytest.mark.slow)]
)
def test_agrees_with_a_dictionary(search, store, n, seed, tmp_path):
    if search in ("faiss", "scann"):
        pytest.importorskip(search)
    with made(store, tmp_path) as kept:
        world = World(search, kept, tmp_path / "index", seed)
        world.run(n)
        if store != "memory":
            world.indexer.store.close()
