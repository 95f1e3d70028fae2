"""Distances of all pairs, counted by bins: memory for one tile and the bins."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from tensorflow_similarity.evaluators.pair_rulers import Ruler, is_symmetric, ruler_of
from tensorflow_similarity.evaluators.verification_results import VerificationResults
from tensorflow_similarity.search import LinearSearch

# About as fine as float32 products are exact (their rounding is some 6e-6 of the
# largest distance), and a histogram of 1 MB stays in the cache.
N_BINS = 1 << 17
# Rows and columns of a tile: 2 MB of distances and 4 MB of bin numbers.
TILE = 512, 1024
# Scaling a distance to its bin number in float32 may move it by so much of a bin.
_SCALING = 0.05


def count_pairs(
    distance: Any,
    items: np.ndarray,
    codes: np.ndarray,
    queries: np.ndarray | None = None,
    query_codes: np.ndarray | None = None,
    verbose: int = 0,
) -> VerificationResults:
    """Counts of pairs of the same and of different classes by distance.

    All pairs i < j of the items, or each query with each item. The bins are of one
    width in the distance (in its square for cosine and Euclidean distances, which is
    what matrix products give), between limits that no pair can leave.

    Args:
        distance: name of a distance or a `Distance`.
        items: float32, shape (n, dim).
        codes: int32 class numbers, shape (n,).
        queries, query_codes: alike. Defaults to None: pairs among the items.
        verbose: 1 shows progress.
    """
    search = LinearSearch(distance, items.shape[1])
    alone = queries is None
    if not alone or is_symmetric(search):
        # Pairs of one class then lie together, and most tiles have none.
        order = np.argsort(codes, kind="stable")
        items, codes = items[order], codes[order]
    if queries is None or query_codes is None:
        queries, query_codes = items, codes
    else:
        order = np.argsort(query_codes, kind="stable")
        queries, query_codes = queries[order], query_codes[order]
    ruler = ruler_of(search, queries, items, TILE[1])
    counts = _Counts(ruler)
    for rows, columns in _tiles(len(queries), len(items), alone, verbose):
        values = ruler.values(rows, columns)
        pairs = None
        if alone and columns.start < rows.stop:
            places = np.arange(columns.start, columns.start + values.shape[1])
            pairs = places > np.arange(rows.start, rows.start + len(values))[:, None]
        counts.add(values, query_codes[rows], codes[columns], pairs)
    return counts.results()


class _Counts:
    """Counts by bin; one bin more on either side than values can lie in.

    Args:
        ruler: whose values are counted.
    """

    def __init__(self, ruler: Ruler):
        self._ruler = ruler
        reach = max(ruler.high - ruler.low, 1e-30)
        # What float32 may round at the limits, with reserve.
        margin = 1e-6 * (reach + abs(ruler.low) + abs(ruler.high)) + ruler.rounding
        self._width = (reach + 2 * margin) / (N_BINS - 2)
        self._low = np.float32(ruler.low - margin - self._width)
        # Two pairs further apart than this many bins are in the right order.
        self._slack = int(np.ceil(2 * (ruler.rounding / self._width + _SCALING)))
        self._all = np.zeros(N_BINS, np.int64)
        self._same = np.zeros(N_BINS, np.int64)

    def add(
        self,
        values: np.ndarray,
        query_codes: np.ndarray,
        codes: np.ndarray,
        pairs: np.ndarray | None,
    ) -> None:
        """Counts a tile of values, which it overwrites; `pairs`: those that count."""
        values -= self._low
        values *= np.float32(1.0 / self._width)
        bins = values.astype(np.intp)
        if pairs is None:
            self._all += np.bincount(bins.ravel(), minlength=N_BINS)
        else:
            self._all += np.bincount(bins[pairs], minlength=N_BINS)
        if query_codes.min() > codes.max() or codes.min() > query_codes.max():
            return
        same = query_codes[:, None] == codes
        if pairs is not None:
            same &= pairs
        self._same += np.bincount(bins[same], minlength=N_BINS)

    def results(self) -> VerificationResults:
        edges = float(self._low) + self._width * np.arange(N_BINS + 1)
        thresholds = self._ruler.distances(edges)
        thresholds[0] = -np.inf
        return VerificationResults(
            thresholds,
            _cumulated(self._same),
            _cumulated(self._all - self._same),
            self._slack,
        )


def _cumulated(counts: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(counts)])


def _tiles(
    n_queries: int, n_items: int, alone: bool, verbose: int
) -> Iterator[tuple[slice, slice]]:
    """Rows and columns of the tiles; of items alone, those on and above the diagonal.

    The first tile of a row of tiles holds its part of the diagonal.
    """
    height, width = TILE
    starts: Any = range(0, n_queries, height)
    if verbose:
        from tqdm.auto import tqdm

        starts = tqdm(starts, desc="Counting pairs", unit="block")
    for i in starts:
        rows = slice(i, min(i + height, n_queries))
        for j in range(i if alone else 0, n_items, width):
            yield rows, slice(j, min(j + width, n_items))
