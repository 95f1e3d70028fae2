"""What an index tells about itself: its recall, and items that are nearly the same."""

import numpy as np

from tensorflow_similarity.indexer.nearest import IndexSnapshot
from tensorflow_similarity.search import Search

# Queries searched at a time, and neighbours asked for at first.
_LOT = 4096
_FIRST_K = 16


def recall(search: Search, snapshot: IndexSnapshot, n: int, k: int, seed: int) -> float:
    """Share of the k exact neighbours of n items that the search finds.

    A neighbour as near as the k-th exact one counts, whichever row it is.
    """
    vectors = snapshot.facts.vectors
    alive = vectors.alive_rows()
    chosen = np.random.default_rng(seed).permutation(alive)[:n]
    queries = vectors.take(np.sort(chosen))
    _, exact = search.find(snapshot.search, queries, k, exact=True)
    _, found = search.find(snapshot.search, queries, k)
    # The engines' own rounding must not turn an equal neighbour into a miss.
    limit = exact[:, -1:] + 1e-5 * np.maximum(np.abs(exact[:, -1:]), 1.0)
    return float((found <= limit).mean())


def duplicates(
    search: Search, snapshot: IndexSnapshot, threshold: float, exact: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs of rows at most `threshold` apart, each once: rows, rows, distances."""
    vectors = snapshot.facts.vectors
    alive = vectors.alive_rows()
    firsts, seconds, values = [], [], []
    for start in range(0, len(alive), _LOT):
        rows = alive[start : start + _LOT]
        k = _FIRST_K
        while len(rows):
            asked = min(k, vectors.n_alive)
            queries = vectors.take(rows)
            found, distances = search.find(snapshot.search, queries, asked, exact=exact)
            near = (distances <= threshold) & (found >= 0)
            full = near.all(axis=1) & (asked < vectors.n_alive)
            done = np.flatnonzero(~full)
            at, columns = np.nonzero(near[done])
            firsts.append(rows[done][at])
            seconds.append(found[done][at, columns])
            values.append(distances[done][at, columns])
            # All that came were near: there may be more.
            rows, k = rows[full], k * 8
    first, second = np.concatenate(firsts), np.concatenate(seconds)
    distances = np.concatenate(values)
    # Of approximate answers a pair may come from one side only.
    low, high = np.minimum(first, second), np.maximum(first, second)
    keep = low < high
    low, high, distances = low[keep], high[keep], distances[keep]
    order = np.lexsort((high, low))
    low, high, distances = low[order], high[order], distances[order]
    new = np.ones(len(low), bool)
    new[1:] = (low[1:] != low[:-1]) | (high[1:] != high[:-1])
    low, high, distances = low[new], high[new], distances[new]
    nearest_first = np.argsort(distances, kind="stable")
    return low[nearest_first], high[nearest_first], distances[nearest_first]
