"""Distances of very many pairs, as fast as matrix products give them.

A ruler answers for a tile of pairs a value that rises with the distance, says between
which limits the values lie, and how far rounding can carry one. A few rows far from the
others, outliers, would widen both for all: they stand behind the others, and what is
paired with them is measured in float64 and may lie beyond the limits.
"""

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from tensorflow_similarity.search import Search, kernels

# Rows are far whose way from the middle is so many times that of nine in ten.
_FAR = 4.0
_USUAL = 0.9
# Rows from which the middle is taken.
_SAMPLED_ROWS = 1_001
# Values of a tile that limits are taken from, their outer share, and how many times the
# rest's width the limits may be away from it.
_SAMPLED_VALUES = 256
_OUTER = 0.1
_REACH = 8.0


class Ruler(ABC):
    """Values of pairs of queries and items, both float32 (n, dim).

    Args:
        n_queries, n_items: how many rows are not far; the far ones are the last.

    Attributes:
        low, high: between which the values of rows that are not far lie, but for
            `rounding`.
        rounding: bound on |value - exact value|.
        spills: whether values may lie beyond the limits.
    """

    low = 0.0
    high: float
    rounding: float
    spills = False

    @abstractmethod
    def values(self, queries: slice, items: slice) -> np.ndarray:
        """Values, float32 or float64, shape (n_queries, n_items)."""

    def within(self, queries: slice, items: slice) -> bool:
        """Whether all values of a tile lie between the limits."""
        return not self.spills

    def distances(self, values: np.ndarray) -> np.ndarray:
        """The distances that values stand for."""
        return values


class _RowsRuler(Ruler):
    """Values from the rows themselves, less a centre."""

    def __init__(
        self,
        queries: np.ndarray,
        items: np.ndarray,
        n_queries: int,
        n_items: int,
        kernel: Any,
        is_centred: bool = True,
    ):
        self._kernel = kernel
        self._given = queries, items
        self._n_near = n_queries, n_items
        self.spills = n_queries < len(queries) or n_items < len(items)
        self._centre = np.zeros(items.shape[1], np.float32)
        if is_centred:
            self._centre = _coarse_mean(items[:n_items])
        self._items = items[:n_items] - self._centre
        self._queries = self._items
        if queries is not items:
            self._queries = queries[:n_queries] - self._centre
        self._squares = _squares(self._items)
        self._bases = _squares(self._queries)[:, None]

    def within(self, queries: slice, items: slice) -> bool:
        return queries.stop <= self._n_near[0] and items.stop <= self._n_near[1]

    def values(self, queries: slice, items: slice) -> np.ndarray:
        if self.within(queries, items):
            return self._ranked(queries, items)
        rows = zip(self._given, (queries, items), strict=True)
        return self._wide(*(part[its].astype(np.float64) for part, its in rows))

    def _ranked(self, queries: slice, items: slice) -> np.ndarray:
        """Values of rows that are not far, by float32 products."""
        return self._kernel.rank(
            self._queries[queries], self._items[items], self._squares[items]
        )

    @abstractmethod
    def _wide(self, queries: np.ndarray, items: np.ndarray) -> np.ndarray:
        """Values of rows in float64."""

    def _rounding_of_far(self) -> float:
        """Bound on what float64 products of the far rows round."""
        if not self.spills:
            return 0.0
        eps = float(np.finfo(np.float64).eps)
        largest = [
            (np.abs(part - self._centre).max(initial=0.0).astype(np.float64)) ** 2
            for part in self._given
        ]
        dim = self._items.shape[1]
        return 4.0 * eps * (dim + 4) * dim * float(max(largest))


class SquaredEuclideanRuler(_RowsRuler):
    """Squared distances of the rows less their common mean, which loses no digits."""

    def __init__(
        self, queries: np.ndarray, items: np.ndarray, n_queries: int, n_items: int
    ):
        kernel = kernels.SquaredEuclideanKernel()
        super().__init__(queries, items, n_queries, n_items, kernel)
        largest = float(self._squares.max())
        self.high = (largest**0.5 + float(self._bases.max()) ** 0.5) ** 2
        # Subtracting the mean rounds every component once more.
        self.rounding = 1.5 * float(kernel.rounding(self._queries, largest).max())
        self.rounding += self._rounding_of_far()

    def _ranked(self, queries: slice, items: slice) -> np.ndarray:
        ranks = super()._ranked(queries, items)
        ranks += self._bases[queries]
        return ranks

    def _wide(self, queries: np.ndarray, items: np.ndarray) -> np.ndarray:
        queries, items = queries - self._centre, items - self._centre
        values = -2.0 * (queries @ items.T)
        values += np.einsum("nd,nd->n", queries, queries)[:, None]
        values += np.einsum("nd,nd->n", items, items)
        return np.maximum(values, 0.0)


class EuclideanRuler(SquaredEuclideanRuler):
    """The same values; their roots are the distances."""

    def distances(self, values: np.ndarray) -> np.ndarray:
        return np.sqrt(np.maximum(values, 0.0))


class CosineRuler(SquaredEuclideanRuler):
    """Squared distances of unit rows, twice the cosine distance.

    Centred, rows within a narrow cone keep digits that 1 - cos loses.
    """

    def __init__(
        self, queries: np.ndarray, items: np.ndarray, n_queries: int, n_items: int
    ):
        unit = kernels.unit_rows(items)
        asked = unit if queries is items else kernels.unit_rows(queries)
        super().__init__(asked, unit, n_queries, n_items)
        # A zero row has no direction: it is at distance 1 from everything.
        self._no_query = np.count_nonzero(asked, axis=1) == 0
        self._no_item = np.count_nonzero(unit, axis=1) == 0
        if self._no_query[:n_queries].any() or self._no_item[:n_items].any():
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


class InnerProductRuler(_RowsRuler):
    """The distance itself, -q.x."""

    def __init__(
        self, queries: np.ndarray, items: np.ndarray, n_queries: int, n_items: int
    ):
        kernel = kernels.InnerProductKernel()
        super().__init__(queries, items, n_queries, n_items, kernel, is_centred=False)
        largest = float(self._squares.max())
        self.high = (largest * float(self._bases.max())) ** 0.5
        self.low = -self.high
        self.rounding = float(kernel.rounding(self._queries, largest).max())
        self.rounding += self._rounding_of_far()

    def _wide(self, queries: np.ndarray, items: np.ndarray) -> np.ndarray:
        return -(queries @ items.T)


class ManhattanRuler(_RowsRuler):
    """The distance itself, of rows less their common mean."""

    def __init__(
        self, queries: np.ndarray, items: np.ndarray, n_queries: int, n_items: int
    ):
        kernel = kernels.ManhattanKernel()
        super().__init__(queries, items, n_queries, n_items, kernel)
        self.high = float(
            np.abs(self._items).sum(axis=1).max()
            + np.abs(self._queries).sum(axis=1).max()
        )
        self.rounding = float(np.finfo(np.float32).eps) * items.shape[1] * self.high

    def _wide(self, queries: np.ndarray, items: np.ndarray) -> np.ndarray:
        # One query after the other: the differences of all would be a cube.
        return np.stack([np.abs(items - query).sum(axis=1) for query in queries])


class DistanceRuler(Ruler):
    """Any other `Distance`, called on tiles; what it answers counts as exact.

    A first pass over all tiles finds the limits: the extremes, or what is nearer to
    where most values lie.
    """

    rounding = 0.0

    def __init__(
        self, search: Search, queries: np.ndarray, items: np.ndarray, step: int
    ):
        self._kernel = kernels.DistanceKernel(search.distance)
        self._queries, self._items = queries, items
        lows, highs, sampled = [], [], []
        for i in range(0, len(queries), step):
            for j in range(0, len(items), step):
                tile = self.values(slice(i, i + step), slice(j, j + step))
                lows.append(float(tile.min()))
                highs.append(float(tile.max()))
                flat = tile.ravel()
                sampled.append(flat[:: max(1, flat.size // _SAMPLED_VALUES)])
        low, high = np.quantile(np.concatenate(sampled), [_OUTER, 1.0 - _OUTER])
        reach = _REACH * float(high - low) or np.inf
        self.low = max(min(lows), float(low) - reach)
        self.high = min(max(highs), float(high) + reach)
        self.spills = self.low > min(lows) or self.high < max(highs)

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


def far_rows(search: Search, rows: np.ndarray) -> np.ndarray:
    """Which rows are so far from the others that they are measured apart, bool (n,)."""
    kind = _RULERS[type(kernels.kernel_of(search.distance))]
    middle = np.float32(0.0)
    if kind is CosineRuler:
        rows = kernels.unit_rows(rows)
    if kind is not InnerProductRuler:
        # Of spread rows, in whatever order they come; the mean goes with the outliers.
        middle = np.median(rows[:: max(1, len(rows) // _SAMPLED_ROWS)], axis=0)
    ways = _squares(rows - middle)
    usual = float(np.quantile(ways, _USUAL))
    return ways > _FAR**2 * usual if usual > 0 else np.zeros(len(rows), bool)


def ruler_of(
    search: Search,
    queries: np.ndarray,
    items: np.ndarray,
    step: int,
    n_queries: int,
    n_items: int,
) -> Ruler:
    """The ruler for the distance of this search.

    Args:
        queries: the same object as `items` where the items are paired with each other.
        step: rows and columns of a tile.
        n_queries, n_items: how many rows are not far; the far ones are the last.
    """
    ruler = _RULERS.get(type(kernels.kernel_of(search.distance)))
    if ruler is None:
        return DistanceRuler(search, queries, items, step)
    return ruler(queries, items, n_queries, n_items)  # type: ignore[call-arg]


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
