"""Distances of very many pairs, as fast as matrix products give them.

A ruler answers for a tile of pairs a value that rises with the distance, says between
which limits all values lie, and how far rounding can carry one.
"""

from abc import ABC, abstractmethod

import numpy as np

from tensorflow_similarity.search import Search, kernels


class Ruler(ABC):
    """Values of pairs of queries and items, both float32 (n, dim).

    Attributes:
        low, high: between which all values lie, but for `rounding`.
        rounding: bound on |value - exact value|.
    """

    low = 0.0
    high: float
    rounding: float

    @abstractmethod
    def values(self, queries: slice, items: slice) -> np.ndarray:
        """Values, float32, shape (n_queries, n_items)."""

    def distances(self, values: np.ndarray) -> np.ndarray:
        """The distances that values stand for."""
        return values


class SquaredEuclideanRuler(Ruler):
    """Squared distances of the rows less their common mean, which loses no digits."""

    def __init__(self, queries: np.ndarray, items: np.ndarray):
        self._kernel = kernels.SquaredEuclideanKernel()
        centre = _coarse_mean(items)
        self._items = items - centre
        self._queries = self._items if queries is items else queries - centre
        self._squares = _squares(self._items)
        self._bases = _squares(self._queries)[:, None]
        largest = float(self._squares.max())
        self.high = (largest**0.5 + float(self._bases.max()) ** 0.5) ** 2
        # Subtracting the mean rounds every component once more.
        self.rounding = 1.5 * float(self._kernel.rounding(self._queries, largest).max())

    def values(self, queries: slice, items: slice) -> np.ndarray:
        ranks = self._kernel.rank(
            self._queries[queries], self._items[items], self._squares[items]
        )
        ranks += self._bases[queries]
        return ranks


class EuclideanRuler(SquaredEuclideanRuler):
    """The same values; their roots are the distances."""

    def distances(self, values: np.ndarray) -> np.ndarray:
        return np.sqrt(np.maximum(values, 0.0))


class CosineRuler(SquaredEuclideanRuler):
    """Squared distances of unit rows, twice the cosine distance.

    Centred, rows within a narrow cone keep digits that 1 - cos loses.
    """

    def __init__(self, queries: np.ndarray, items: np.ndarray):
        unit = kernels.unit_rows(items)
        asked = unit if queries is items else kernels.unit_rows(queries)
        super().__init__(asked, unit)
        # A zero row has no direction: it is at distance 1 from everything.
        self._no_query = np.count_nonzero(asked, axis=1) == 0
        self._no_item = np.count_nonzero(unit, axis=1) == 0
        if self._no_query.any() or self._no_item.any():
            self.high = max(self.high, 2.0)
        # Rows are made 1 long in float32, each component rounded twice.
        self.rounding += 4 * float(np.finfo(np.float32).eps)

    def values(self, queries: slice, items: slice) -> np.ndarray:
        values = super().values(queries, items)
        if self._no_query[queries].any():
            values[self._no_query[queries]] = 2.0
        if self._no_item[items].any():
            values[:, self._no_item[items]] = 2.0
        return values

    def distances(self, values: np.ndarray) -> np.ndarray:
        return 0.5 * values


class InnerProductRuler(Ruler):
    """The distance itself, -q.x."""

    def __init__(self, queries: np.ndarray, items: np.ndarray):
        self._kernel = kernels.InnerProductKernel()
        self._queries, self._items = queries, items
        self._squares = _squares(items)
        largest = float(self._squares.max())
        self.high = (largest * float(_squares(queries).max())) ** 0.5
        self.low = -self.high
        self.rounding = float(self._kernel.rounding(queries, largest).max())

    def values(self, queries: slice, items: slice) -> np.ndarray:
        return self._kernel.rank(
            self._queries[queries], self._items[items], self._squares[items]
        )


class ManhattanRuler(Ruler):
    """The distance itself, of rows less their common mean."""

    def __init__(self, queries: np.ndarray, items: np.ndarray):
        self._kernel = kernels.ManhattanKernel()
        centre = _coarse_mean(items)
        self._items = items - centre
        self._queries = self._items if queries is items else queries - centre
        self._squares = _squares(self._items)
        self.high = float(
            np.abs(self._items).sum(axis=1).max()
            + np.abs(self._queries).sum(axis=1).max()
        )
        self.rounding = float(np.finfo(np.float32).eps) * items.shape[1] * self.high

    def values(self, queries: slice, items: slice) -> np.ndarray:
        return self._kernel.rank(
            self._queries[queries], self._items[items], self._squares[items]
        )


class DistanceRuler(Ruler):
    """Any other `Distance`, called on tiles; what it answers counts as exact.

    A first pass over all tiles finds the limits.
    """

    rounding = 0.0

    def __init__(
        self, search: Search, queries: np.ndarray, items: np.ndarray, step: int
    ):
        self._kernel = kernels.DistanceKernel(search.distance)
        self._queries, self._items = queries, items
        lows, highs = [], []
        for i in range(0, len(queries), step):
            for j in range(0, len(items), step):
                tile = self.values(slice(i, i + step), slice(j, j + step))
                lows.append(float(tile.min()))
                highs.append(float(tile.max()))
        self.low, self.high = min(lows), max(highs)

    def values(self, queries: slice, items: slice) -> np.ndarray:
        return self._kernel.rank(
            self._queries[queries], self._items[items], np.empty(0)
        )


_RULERS: dict[type[kernels.Kernel], type[Ruler]] = {
    kernels.CosineKernel: CosineRuler,
    kernels.EuclideanKernel: EuclideanRuler,
    kernels.SquaredEuclideanKernel: SquaredEuclideanRuler,
    kernels.InnerProductKernel: InnerProductRuler,
    kernels.ManhattanKernel: ManhattanRuler,
}


def is_symmetric(search: Search) -> bool:
    """Whether a pair is known to be as far apart as the pair turned round."""
    return type(kernels.kernel_of(search.distance)) in _RULERS


def ruler_of(
    search: Search, queries: np.ndarray, items: np.ndarray, step: int
) -> Ruler:
    """The ruler for the distance of this search.

    Args:
        queries: the same object as `items` where the items are paired with each other.
        step: rows and columns of a tile.
    """
    ruler = _RULERS.get(type(kernels.kernel_of(search.distance)))
    if ruler is None:
        return DistanceRuler(search, queries, items, step)
    return ruler(queries, items)  # type: ignore[call-arg]


def _squares(rows: np.ndarray) -> np.ndarray:
    wide = np.einsum("nd,nd->n", rows, rows, dtype=np.float64)
    return wide.astype(np.float32)


def _coarse_mean(rows: np.ndarray) -> np.ndarray:
    """The mean row, in steps so coarse that subtracting it leaves integers exact."""
    largest = float(np.abs(rows).max())
    if largest == 0.0:
        return np.zeros(rows.shape[1], np.float32)
    step = 2.0 ** (np.floor(np.log2(largest)) - 6)
    mean = rows.mean(axis=0, dtype=np.float64)
    return (np.round(mean / step) * step).astype(np.float32)
