"""NumPy arithmetic of exact search, one kernel a distance.

A kernel ranks many rows fast (`rank`, by matrix products whose rounding is bounded by
`rounding`) and measures few rows accurately (`measure`). `exact.py` joins the two.
"""

from abc import ABC, abstractmethod

import numpy as np

from tensorflow_similarity import distances
from tensorflow_similarity.distances import Distance

_EPSILON = float(np.finfo(np.float32).eps)


class Kernel(ABC):
    """Ranks and measures rows for one distance; smaller is nearer in both.

    Queries and rows are float32. A rank is any rising function of the distance.
    """

    def prepare(self, queries: np.ndarray) -> np.ndarray:
        """What `rank`, `rank_of` and `rounding` take for queries (n_queries, dim)."""
        return queries

    @abstractmethod
    def rank(
        self, queries: np.ndarray, rows: np.ndarray, squares: np.ndarray
    ) -> np.ndarray:
        """Ranks, float32 (n_queries, n_rows); `squares`: the rows' squared lengths."""

    @abstractmethod
    def measure(self, queries: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Distances (n_queries, k) of each query to rows of its own (n, k, dim)."""

    def rank_of(self, queries: np.ndarray, distances: np.ndarray) -> np.ndarray:
        """The ranks that measured distances (n_queries, k) stand for."""
        return distances

    def rounding(self, queries: np.ndarray, largest_square: float) -> np.ndarray:
        """Bound per query on |rank - true rank|, shape (n_queries, 1)."""
        return np.zeros((len(queries), 1), np.float32)


def _product_rounding(dim: int) -> float:
    """Relative rounding of a float32 inner product of this length, with reserve."""
    return _EPSILON * (8 + 2 * dim**0.5)


def _lengths(rows: np.ndarray) -> np.ndarray:
    return np.sqrt(np.einsum("nd,nd->n", rows, rows))[:, None]


class CosineKernel(Kernel):
    """rank = -cos; measured as half the squared difference of the unit vectors.

    The difference keeps its digits where 1 - cos loses them: between near neighbours.
    """

    _SHORT = 1e-28

    def prepare(self, queries: np.ndarray) -> np.ndarray:
        return unit_rows(queries)

    def rank(
        self, queries: np.ndarray, rows: np.ndarray, squares: np.ndarray
    ) -> np.ndarray:
        ranks = (-queries) @ rows.T
        if np.abs(squares - 1.0).max() > 4 * _EPSILON:
            # The squares of such short rows lost their digits: always measure them.
            short = squares < self._SHORT
            ranks /= np.sqrt(np.where(short, np.float32(1.0), squares))
            ranks[:, short] = -np.inf
        return ranks

    def measure(self, queries: np.ndarray, rows: np.ndarray) -> np.ndarray:
        shape = rows.shape
        # In float32 the rounding of the unit vectors would outweigh small angles.
        queries = unit_float64(queries)
        rows = unit_float64(rows.reshape(-1, shape[-1])).reshape(shape)
        difference = rows - queries[:, None]
        halves = 0.5 * np.einsum("nkd,nkd->nk", difference, difference)
        # A zero vector has no direction: it is at distance 1 from everything.
        none = ~np.any(rows, axis=-1) | ~np.any(queries, axis=-1, keepdims=True)
        return np.where(none, 1.0, halves).astype(np.float32)

    def rank_of(self, queries: np.ndarray, distances: np.ndarray) -> np.ndarray:
        return distances - 1.0

    def rounding(self, queries: np.ndarray, largest_square: float) -> np.ndarray:
        bound = 2 * _product_rounding(queries.shape[1])
        return np.full((len(queries), 1), bound, np.float32)


class SquaredEuclideanKernel(Kernel):
    """rank = |x|^2 - 2 q.x, measured from the difference."""

    def rank(
        self, queries: np.ndarray, rows: np.ndarray, squares: np.ndarray
    ) -> np.ndarray:
        ranks = (-2.0 * queries) @ rows.T
        ranks += squares
        return ranks

    def measure(self, queries: np.ndarray, rows: np.ndarray) -> np.ndarray:
        difference = rows - queries[:, None]
        return np.einsum("nkd,nkd->nk", difference, difference)

    def rank_of(self, queries: np.ndarray, distances: np.ndarray) -> np.ndarray:
        return distances - _lengths(queries) ** 2

    def rounding(self, queries: np.ndarray, largest_square: float) -> np.ndarray:
        reach = (_lengths(queries) + largest_square**0.5) ** 2
        return 2 * _product_rounding(queries.shape[1]) * reach


class EuclideanKernel(SquaredEuclideanKernel):
    """The same ranks, measured as the square root."""

    def measure(self, queries: np.ndarray, rows: np.ndarray) -> np.ndarray:
        return np.sqrt(super().measure(queries, rows))

    def rank_of(self, queries: np.ndarray, distances: np.ndarray) -> np.ndarray:
        return super().rank_of(queries, distances**2)


class InnerProductKernel(Kernel):
    """rank = distance = -q.x."""

    def rank(
        self, queries: np.ndarray, rows: np.ndarray, squares: np.ndarray
    ) -> np.ndarray:
        return (-queries) @ rows.T

    def measure(self, queries: np.ndarray, rows: np.ndarray) -> np.ndarray:
        products = np.einsum(
            "nd,nkd->nk", queries.astype(np.float64), rows.astype(np.float64)
        )
        return -products.astype(np.float32)

    def rounding(self, queries: np.ndarray, largest_square: float) -> np.ndarray:
        reach = _lengths(queries) * largest_square**0.5
        return 2 * _product_rounding(queries.shape[1]) * reach


class ManhattanKernel(Kernel):
    """rank = distance = sum of the absolute differences, one query at a time."""

    def rank(
        self, queries: np.ndarray, rows: np.ndarray, squares: np.ndarray
    ) -> np.ndarray:
        ranks = np.empty((len(queries), len(rows)), np.float32)
        buffer = np.empty_like(rows)
        for i, query in enumerate(queries):
            np.subtract(rows, query, out=buffer)
            np.abs(buffer, out=buffer).sum(axis=1, out=ranks[i])
        return ranks

    def measure(self, queries: np.ndarray, rows: np.ndarray) -> np.ndarray:
        return np.abs(rows - queries[:, None]).sum(axis=-1)

    def rounding(self, queries: np.ndarray, largest_square: float) -> np.ndarray:
        reach = _lengths(queries) + largest_square**0.5
        return _EPSILON * queries.shape[1] * reach


class SNRKernel(Kernel):
    """var(q - x) / var(q) over the features, by the squares of centred rows."""

    # Below this variance a query has no signal; `SNRDistance` then answers the noise.
    _NO_SIGNAL = 1e-12

    def rank(
        self, queries: np.ndarray, rows: np.ndarray, squares: np.ndarray
    ) -> np.ndarray:
        centred = rows - rows.mean(axis=1, keepdims=True)
        ranks = (-2.0 * self._signal(queries)) @ centred.T
        ranks += np.einsum("nd,nd->n", centred, centred)
        return ranks

    def measure(self, queries: np.ndarray, rows: np.ndarray) -> np.ndarray:
        noise = (rows - queries[:, None]).var(axis=-1)
        return noise / self.power(queries)

    def rank_of(self, queries: np.ndarray, distances: np.ndarray) -> np.ndarray:
        noise = distances * self.power(queries)
        return noise * queries.shape[1] - _lengths(self._signal(queries)) ** 2

    def rounding(self, queries: np.ndarray, largest_square: float) -> np.ndarray:
        reach = (_lengths(queries) + largest_square**0.5) ** 2
        return 4 * _product_rounding(queries.shape[1]) * reach

    def _signal(self, queries: np.ndarray) -> np.ndarray:
        return queries - queries.mean(axis=1, keepdims=True)

    def power(self, queries: np.ndarray) -> np.ndarray:
        """The variance of each query, 1 where it has no signal, (n_queries, 1)."""
        power = queries.var(axis=-1)[:, None]
        return np.where(power > self._NO_SIGNAL, power, np.float32(1.0))


class DistanceKernel(Kernel):
    """A user's own `Distance`, called on blocks; its values are ranks and distances."""

    def __init__(self, distance: Distance):
        self._distance = distance

    def rank(
        self, queries: np.ndarray, rows: np.ndarray, squares: np.ndarray
    ) -> np.ndarray:
        from keras import ops

        values = np.asarray(
            ops.convert_to_numpy(self._distance(queries, rows)), np.float32
        )
        if np.isnan(values).any():
            raise ValueError(
                f"The distance {self._distance.name!r} gave NaN for finite embeddings. "
                "Make its `call` give a number for every pair of rows."
            )
        # Infinity is kept for what was removed.
        return np.minimum(values, np.finfo(np.float32).max)

    def measure(self, queries: np.ndarray, rows: np.ndarray) -> np.ndarray:
        return np.concatenate(
            [
                self.rank(queries[i : i + 1], rows[i], np.empty(0))
                for i in range(len(rows))
            ]
        )


_KERNELS: dict[type[Distance], type[Kernel]] = {
    distances.CosineDistance: CosineKernel,
    distances.EuclideanDistance: EuclideanKernel,
    distances.SquaredEuclideanDistance: SquaredEuclideanKernel,
    distances.InnerProductSimilarity: InnerProductKernel,
    distances.ManhattanDistance: ManhattanKernel,
    distances.SNRDistance: SNRKernel,
}


def kernel_of(distance: Distance) -> Kernel:
    """The kernel for this distance: ours for the six, else blocks of its own `call`."""
    kernel = _KERNELS.get(type(distance))
    return DistanceKernel(distance) if kernel is None else kernel()


def unit_float64(rows: np.ndarray) -> np.ndarray:
    """Float32 rows (n, dim) of length 1 in float64, whose squares hold any of them."""
    wide = rows.astype(np.float64)
    lengths = _lengths(wide)
    lengths[lengths == 0] = 1.0
    wide /= lengths
    return wide


def unit_rows(rows: np.ndarray) -> np.ndarray:
    """Rows (n, dim) of length 1; a zero row stays zero."""
    # Dividing by the largest component first keeps the squares within float32.
    largest = np.abs(rows).max(axis=1, keepdims=True)
    scaled = np.divide(rows, largest, out=np.zeros_like(rows), where=largest > 1e-30)
    lengths = _lengths(scaled)
    return np.divide(scaled, lengths, out=scaled, where=lengths > 0)
