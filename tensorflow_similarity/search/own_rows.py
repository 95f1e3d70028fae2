"""Recall of a structure, measured on the rows that it was made of."""

from collections.abc import Iterator

import numpy as np

from tensorflow_similarity._core.vectors import Vectors
from tensorflow_similarity.search.exact import exact_top_k, measured
from tensorflow_similarity.search.kernels import Kernel

_N_SAMPLED = 200
_N_NEIGHBOURS = 10
_LARGEST_EFFORT = 16_384


class OwnRows:
    """200 rows of a structure, and where their 10 nearest others end.

    Args:
        vectors: where the rows are.
        rows: those that the structure was made of, by position.

    Attributes:
        queries: the sampled rows, float32, shape (200, dim) or fewer.
        k: neighbours to ask for, the row itself included.
    """

    def __init__(self, kernel: Kernel, vectors: Vectors, rows: np.ndarray):
        self._kernel, self._vectors, self._rows = kernel, vectors, rows
        n = min(_N_SAMPLED, len(rows))
        # Evenly spread, for rows that come sorted by class, and alike in every run.
        sample = rows[np.linspace(0, len(rows) - 1, n).astype(np.int64)]
        self._sample = sample[:, None]
        self.queries = vectors.take(sample)
        self.k = min(_N_NEIGHBOURS + 1, len(rows))
        allowed = np.zeros(vectors.size, bool)
        allowed[rows] = True
        among = vectors.masked(allowed)
        nearest, distances = exact_top_k(kernel, among, self.queries, self.k)
        self._limits = distances[:, -1:]
        self._n_nearest = int((nearest != self._sample).sum())

    def recall(self, positions: np.ndarray) -> float:
        """The share found of the nearest rows, positions (n, k), -1 for none.

        A row counts for any other that is as near, and not for itself.
        """
        rows = self._rows[np.maximum(positions, 0)]
        distances = measured(self._kernel, self._vectors, self.queries, rows)
        hits = (distances <= self._limits) & (positions >= 0) & (rows != self._sample)
        return min(1.0, float(hits.sum()) / max(self._n_nearest, 1))

    def ladder(self) -> Iterator[int]:
        """10, 20, 40, ...: how many rows to keep in sight, up to all."""
        effort = _N_NEIGHBOURS
        while effort < min(len(self._rows), _LARGEST_EFFORT):
            yield effort
            effort *= 2
        yield effort
