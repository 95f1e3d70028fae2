"""All distances by float64 products, against the exact search and float64 formulas."""

import numpy as np
import pytest

from tensorflow_similarity import distances
from tensorflow_similarity.search import LinearSearch, pairwise
from tensorflow_similarity.search.pairwise import Pairwise

NAMES = [
    "cosine",
    "euclidean",
    "squared_euclidean",
    "inner_product",
    "manhattan",
    "snr",
]


def exact(name, rows, queries):
    """By `LinearSearch`, whose distances are measured one by one, in order of rows."""
    search = LinearSearch(name, rows.shape[1])
    search.batch_add(rows, np.arange(len(rows)))
    ids, found = search.batch_lookup(queries, len(rows))
    ordered = np.empty_like(found)
    np.put_along_axis(ordered, ids, found, axis=1)
    return ordered


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("name", NAMES)
def test_agrees_with_measured_distances(name, kept, monkeypatch):
    monkeypatch.setattr(pairwise, "_TILE_ROWS", 16)
    if not kept:
        monkeypatch.setattr(pairwise, "_KEPT", 0)
    random = np.random.default_rng(0)
    rows = random.normal(1.0, 2.0, size=(50, 12)).astype("float32")
    queries = random.normal(size=(7, 12)).astype("float32")
    found = Pairwise(distances.get(name), rows).distances(queries)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, exact(name, rows, queries), rtol=1e-6)


@pytest.mark.parametrize("name", ["euclidean", "squared_euclidean", "snr"])
def test_keeps_digits_far_from_the_origin(name):
    random = np.random.default_rng(1)
    rows = (random.normal(size=(30, 8)) + 1000.0).astype("float32")
    queries = rows[:5] + np.float32(0.01)
    wide, asked = rows.astype("float64"), queries.astype("float64")
    gaps = asked[:, None] - wide
    squares = (gaps**2).sum(axis=2)
    expected = {
        "euclidean": np.sqrt(squares),
        "squared_euclidean": squares,
        "snr": gaps.var(axis=2) / asked.var(axis=1)[:, None],
    }[name]
    found = Pairwise(distances.get(name), rows).distances(queries)
    # Float32 alone would be wrong from the first digit on: 1e6 * 1e-7.
    far = expected > 1e-6
    np.testing.assert_allclose(found[far], expected[far], rtol=1e-5)


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"inner_product"}))
def test_copies_are_at_zero_exactly(name):
    rows = np.random.default_rng(2).normal(size=(40, 33)).astype("float32")
    rows[20:] = rows[:20]
    found = Pairwise(distances.get(name), rows).distances(rows)
    assert (found[np.arange(40), np.arange(40)] == 0).all()
    assert (found[np.arange(20), np.arange(20) + 20] == 0).all()
    assert (found >= 0).all()


def test_zero_vectors_are_at_one_by_cosine():
    rows = np.array([[0.0, 0.0], [1.0, 2.0]], "float32")
    found = Pairwise(distances.get("cosine"), rows).distances(rows)
    assert found.tolist() == [[1.0, 1.0], [1.0, 0.0]]


def test_takes_a_distance_of_your_own():
    class Chebyshev(distances.Distance):
        name = "chebyshev"

        def call(self, query, key):
            from keras import ops

            return ops.max(ops.abs(query[:, None] - key[None]), axis=2)

    rows = np.array([[0.0, 0.0], [3.0, 1.0]], "float32")
    assert Pairwise(Chebyshev(), rows).distances(rows).tolist() == [[0, 3], [3, 0]]
