"""The nearest other points of each point: exact, blocked."""

import numpy as np

from tensorflow_similarity.distances import Distance
from tensorflow_similarity.search import LinearSearch

# Neighbours held at a time: with their distances about 50 MB.
_BLOCK_NEIGHBOURS = 2_000_000


def nearest_points(
    embeddings: np.ndarray,
    k: int,
    distance: Distance,
    asked: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest others of each row, nearest first, equal ones by row.

    A row is left out of its own answer by its number, so a duplicate counts.

    Args:
        embeddings: float32, shape (n, dim).
        k: at least 0.
        asked: the rows whose neighbours are wanted. Defaults to None: all n.

    Returns:
        rows: int32, shape (n_asked, min(k, n - 1)); distances: float32, alike.
    """
    n, dim = embeddings.shape
    k = min(k, n - 1)
    asked = np.arange(n) if asked is None else asked
    rows = np.empty((len(asked), k), np.int32)
    distances = np.empty((len(asked), k), np.float32)
    if k == 0:
        return rows, distances
    search = LinearSearch(distance, dim)
    search.batch_add(embeddings, np.arange(n))
    step = max(1, _BLOCK_NEIGHBOURS // (k + 1))
    for start in range(0, len(asked), step):
        part = slice(start, start + step)
        found, values = search.batch_lookup(embeddings[asked[part]], k + 1)
        keep = found != asked[part, None]
        # Where duplicates pushed the row itself out, the last goes.
        keep[keep.all(axis=1), -1] = False
        rows[part] = found[keep].reshape(len(found), k)
        distances[part] = values[keep].reshape(len(found), k)
    return rows, distances
