"""Distances of all pairs, counted by bins: memory for one tile and the bins."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np

from tensorflow_similarity._core.optional import optional_import
from tensorflow_similarity.evaluators.pair_rulers import (
    Ruler,
    far_rows,
    is_symmetric,
    ruler_of,
)
from tensorflow_similarity.evaluators.verification_results import VerificationResults
from tensorflow_similarity.search import LinearSearch

# About as fine as float32 products are exact (their rounding is some 6e-6 of the
# largest distance), and a histogram of 1 MB stays in the cache.
N_BINS = 1 << 17
# Beyond the limits of most values, bins widen in proportion: so many on either side,
# and so many for each doubling.
N_WIDENING = 4096
_PER_DOUBLING = 64
# Rows and columns of a tile: 2 MB of distances and 4 MB of bin numbers.
TILE = 512, 1024
# Threads beyond the memory bandwidth of small machines bring nothing.
_MOST_THREADS = 8
_HAS_AFFINITY = hasattr(os, "sched_getaffinity")
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
    what matrix products give), between limits that only pairs with outliers can leave;
    for those bins widen with the distance.

    Args:
        distance: name of a distance or a `Distance`.
        items: float32, shape (n, dim).
        codes: int32 class numbers, shape (n,).
        queries, query_codes: alike. Defaults to None: pairs among the items.
        verbose: 1 shows progress.
    """
    search = LinearSearch(distance, items.shape[1])
    alone = queries is None
    n_near = n_near_queries = len(items)
    if not alone or is_symmetric(search):
        items, codes, n_near = _ordered(search, items, codes)
    if queries is None or query_codes is None:
        queries, query_codes, n_near_queries = items, codes, n_near
    else:
        queries, query_codes, n_near_queries = _ordered(search, queries, query_codes)
    ruler = ruler_of(search, queries, items, TILE[1], n_near_queries, n_near)
    # A distance of the user's own is called from one thread only.
    n_threads, limit = own_threads() if is_symmetric(search) else (1, nullcontext())
    starts = range(0, len(queries), TILE[0])
    bar = _progress(len(starts)) if verbose else None

    def count(first: int) -> _Counts:
        counts = _Counts(ruler)
        for start in starts[first::n_threads]:
            rows = slice(start, min(start + TILE[0], len(queries)))
            for columns in _columns(start if alone else 0, len(items)):
                values = ruler.values(rows, columns)
                pairs = _later_pairs(rows, columns) if alone else None
                within = ruler.within(rows, columns)
                counts.add(values, query_codes[rows], codes[columns], pairs, within)
            if bar is not None:
                bar.update()
        return counts

    with limit, ThreadPoolExecutor(n_threads) as pool:
        parts = list(pool.map(count, range(n_threads)))
    if bar is not None:
        bar.close()
    return _Counts.results(parts)


def _ordered(
    search: LinearSearch, rows: np.ndarray, codes: np.ndarray
) -> tuple[np.ndarray, np.ndarray, int]:
    """Rows by class, far ones last, and how many are not far.

    Pairs of one class then lie together, and most tiles have none.
    """
    is_far = np.zeros(len(rows), bool)
    if is_symmetric(search):
        is_far = far_rows(search, rows)
    order = np.lexsort((codes, is_far))
    return rows[order], codes[order], int((~is_far).sum())


class _Counts:
    """Counts by bin; one bin more on either side than values can lie in.

    Where values can lie beyond the limits, wider bins follow on both sides.

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
        self._n_wide = N_WIDENING if ruler.spills else 0
        self._n_bins = N_BINS + 2 * self._n_wide
        self._all = np.zeros(self._n_bins, np.int64)
        self._same = np.zeros(self._n_bins, np.int64)

    def add(
        self,
        values: np.ndarray,
        query_codes: np.ndarray,
        codes: np.ndarray,
        pairs: np.ndarray | None,
        within: bool = True,
    ) -> None:
        """Counts a tile of values, which it overwrites; `pairs`: those that count."""
        values -= self._low
        values *= np.float32(1.0 / self._width)
        bins = values.astype(np.intp) if within else self._spread(values)
        bins += self._n_wide
        if pairs is None:
            self._all += np.bincount(bins.ravel(), minlength=self._n_bins)
        else:
            self._all += np.bincount(bins[pairs], minlength=self._n_bins)
        if query_codes.min() > codes.max() or codes.min() > query_codes.max():
            return
        same = query_codes[:, None] == codes
        if pairs is not None:
            same &= pairs
        self._same += np.bincount(bins[same], minlength=self._n_bins)

    def _spread(self, places: np.ndarray) -> np.ndarray:
        """Bins of places that may be out of the range; outside they widen."""
        inside = np.clip(places, 0, N_BINS - 1)
        bins = np.floor(inside).astype(np.intp)
        beyond = np.abs(places - np.clip(places, 0, N_BINS)) / N_BINS
        doublings = _PER_DOUBLING * np.log2(1.0 + beyond)
        steps = 1 + np.minimum(doublings, N_WIDENING - 1).astype(np.intp)
        bins += np.where(places >= N_BINS, steps, 0)
        bins -= np.where(places < 0, steps, 0)
        return bins

    def _edges(self) -> np.ndarray:
        """Values between the bins, ascending, one more than bins."""
        widening = np.exp2(np.arange(1, self._n_wide + 1) / _PER_DOUBLING) - 1.0
        places = np.concatenate(
            [
                -N_BINS * widening[::-1],
                np.arange(N_BINS + 1.0),
                N_BINS * (1.0 + widening),
            ]
        )
        return float(self._low) + self._width * places

    @classmethod
    def results(cls, parts: "list[_Counts]") -> VerificationResults:
        """Of counts by one ruler, added up."""
        one = parts[0]
        thresholds = one._ruler.distances(one._edges())
        thresholds[0] = -np.inf
        same = np.sum([part._same for part in parts], axis=0)
        different = np.sum([part._all for part in parts], axis=0) - same
        return VerificationResults(
            thresholds, _cumulated(same), _cumulated(different), one._slack
        )


def own_threads() -> tuple[int, AbstractContextManager[Any]]:
    """Threads to count in, and a context in which matrix products start none.

    Products of tiles are short, and their threads wait for each other while another
    program has one of the processors (measured: 10 ns of processor time a pair against
    34). Without threadpoolctl, which scikit-learn brings, one thread counts and the
    products have theirs.
    """
    try:
        pools = optional_import("threadpoolctl", purpose="Counting in threads")
    except ImportError:
        return 1, nullcontext()
    processors = len(os.sched_getaffinity(0)) if _HAS_AFFINITY else os.cpu_count() or 1
    limit = pools.threadpool_limits(limits=1, user_api="blas")
    return min(processors, _MOST_THREADS), limit


def _cumulated(counts: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(counts)])


def _columns(first: int, n_items: int) -> Iterator[slice]:
    """Columns of a row of tiles; with the diagonal, the first tile holds all of it."""
    for start in range(first, n_items, TILE[1]):
        yield slice(start, min(start + TILE[1], n_items))


def _later_pairs(rows: slice, columns: slice) -> np.ndarray | None:
    """Which pairs of a tile have the later item second; None for all."""
    if columns.start >= rows.stop:
        return None
    places = np.arange(columns.start, columns.stop)
    return places > np.arange(rows.start, rows.stop)[:, None]


def _progress(n_blocks: int) -> Any:
    from tqdm.auto import tqdm

    return tqdm(total=n_blocks, desc="Counting pairs", unit="block")
