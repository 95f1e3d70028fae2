"""All distances from some queries to all rows, for who needs more than the nearest."""

from abc import ABC, abstractmethod
from collections.abc import Iterator

import numpy as np

from tensorflow_similarity.distances import Distance
from tensorflow_similarity.search import kernels

# Rows multiplied at a time: with 128 queries the products take 4 MB.
_TILE_ROWS = 4096
# Rows are kept in float64 up to this many numbers (256 MB), else widened as they come.
_KEPT = 32 * 1024 * 1024


class Pairwise:
    """Distances from queries to all rows, rounded to float32 only at the end.

    The products are float64, so two rows at the same distance nearly always get the
    same float32, as in `exact_top_k`, and two that differ by more than its last digit
    are in order. Where float64 itself could not tell a distance from 0 (a cosine
    distance below about 1e-14) it is 0. Manhattan and your own distances are computed
    as they are.

    Args:
        distance: a `Distance`.
        rows: float32, shape (n_rows, dim).
    """

    def __init__(self, distance: Distance, rows: np.ndarray):
        self._kernel = kernels.kernel_of(distance)
        self._rows = rows
        self._product = _product_of(self._kernel, rows)
        self._kept: list[np.ndarray] | None = None
        if self._product is not None and rows.size <= _KEPT:
            self._kept = list(self._right(self._product))

    def distances(self, queries: np.ndarray) -> np.ndarray:
        """Float32, shape (n_queries, n_rows), of float32 queries (n_queries, dim)."""
        found = np.empty((len(queries), len(self._rows)), np.float32)
        start = 0
        for values in self._parts(queries):
            found[:, start : start + values.shape[1]] = values
            start += values.shape[1]
        return found

    def _parts(self, queries: np.ndarray) -> Iterator[np.ndarray]:
        if self._product is None:
            prepared = self._kernel.prepare(queries)
            for tile in _tiles(self._rows):
                squares = np.einsum("nd,nd->n", tile, tile)
                yield self._kernel.rank(prepared, tile, squares)
            return
        left, noise = self._product.left(queries)
        kept = self._right(self._product) if self._kept is None else self._kept
        for right in kept:
            values = left @ right.T
            yield self._product.finished(values, noise)

    def _right(self, product: "_Product") -> Iterator[np.ndarray]:
        for tile in _tiles(self._rows):
            yield product.right(tile)


class _Product(ABC):
    """A distance as one float64 product: left (n_queries, m) by right (n_rows, m)."""

    @abstractmethod
    def left(self, queries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The queries' factors, and below which value each one's distances are 0."""

    @abstractmethod
    def right(self, rows: np.ndarray) -> np.ndarray:
        """The rows' factors."""

    def finished(self, values: np.ndarray, noise: np.ndarray) -> np.ndarray:
        """The products with 0 for what rounding may have made, in place."""
        values *= values > noise
        return values


class _Cosine(_Product):
    """1 - u.v of unit vectors; a zero vector is at 1 from everything."""

    def left(self, queries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        units = kernels.unit_float64(queries)
        return _joined(-units, 1.0), np.full((len(units), 1), _noise(units))

    def right(self, rows: np.ndarray) -> np.ndarray:
        return _joined(kernels.unit_float64(rows), 1.0)


class _Squares(_Product):
    """|q|^2 - 2 q.x + |x|^2, about the mean of the rows: that keeps more digits."""

    def __init__(self, rows: np.ndarray):
        self._centre = rows.mean(axis=0, dtype=np.float64)
        # An upper bound on the length of a centred row.
        furthest = max(
            float(np.abs(tile - self._centre).max()) for tile in _tiles(rows)
        )
        self._longest = furthest * rows.shape[1] ** 0.5

    def left(self, queries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        moved = self._moved(queries)
        squares = np.einsum("nd,nd->n", moved, moved)
        reach = (np.sqrt(squares) + self._longest) ** 2
        return _joined(-2.0 * moved, squares, 1.0), _noise(moved) * reach[:, None]

    def right(self, rows: np.ndarray) -> np.ndarray:
        moved = self._moved(rows)
        return _joined(moved, 1.0, np.einsum("nd,nd->n", moved, moved))

    def _moved(self, rows: np.ndarray) -> np.ndarray:
        return rows - self._centre


class _Roots(_Squares):
    """The square roots of those."""

    def finished(self, values: np.ndarray, noise: np.ndarray) -> np.ndarray:
        return np.sqrt(super().finished(values, noise), out=values)


class _Signals(_Squares):
    """The squares of what is left without each row's mean, by the query's variance."""

    def left(self, queries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        left, noise = super().left(queries)
        power = kernels.SNRKernel().power(queries) * queries.shape[1]
        return left / power, noise / power

    def _moved(self, rows: np.ndarray) -> np.ndarray:
        moved = super()._moved(rows)
        return moved - moved.mean(axis=1, keepdims=True)


class _Inner(_Product):
    """-q.x, which may be negative: nothing is near enough to be 0."""

    def left(self, queries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return -queries.astype(np.float64), np.empty(0)

    def right(self, rows: np.ndarray) -> np.ndarray:
        return rows.astype(np.float64)

    def finished(self, values: np.ndarray, noise: np.ndarray) -> np.ndarray:
        return values


def _product_of(kernel: kernels.Kernel, rows: np.ndarray) -> _Product | None:
    """The product that gives this kernel's distances, None if there is none."""
    kind = type(kernel)
    if kind is kernels.CosineKernel:
        return _Cosine()
    if kind is kernels.InnerProductKernel:
        return _Inner()
    squares: dict[type[kernels.Kernel], type[_Squares]] = {
        kernels.SquaredEuclideanKernel: _Squares,
        kernels.EuclideanKernel: _Roots,
        kernels.SNRKernel: _Signals,
    }
    return squares[kind](rows) if kind in squares else None


def _joined(wide: np.ndarray, *columns: np.ndarray | float) -> np.ndarray:
    """A matrix with further columns, each an array or one number."""
    parts = [np.broadcast_to(column, len(wide))[:, None] for column in columns]
    return np.concatenate([wide, *parts], axis=1)


def _noise(wide: np.ndarray) -> float:
    """Relative rounding of a float64 product of this width, with reserve."""
    return float(np.finfo(np.float64).eps) * (8 + 2 * wide.shape[1] ** 0.5)


def _tiles(rows: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(rows), _TILE_ROWS):
        yield rows[start : start + _TILE_ROWS]
