"""Distances of all pairs, counted by bins: memory for one tile and the bins."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np

from tensorflow_similarity._core.optional import optional_import
from tensorflow_similarity.evaluators.pair_rulers import Ruler, is_symmetric, ruler_of
from tensorflow_similarity.evaluators.verification_results import VerificationResults
from tensorflow_similarity.search import LinearSearch

# About as fine as float32 products are exact (their rounding is some 6e-6 of the
# largest distance), and a histogram of 1 MB stays in the cache.
N_BINS = 1 << 17
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
                counts.add(values, query_codes[rows], codes[columns], pairs)
            if bar is not None:
                bar.update()
        return counts

    with limit, ThreadPoolExecutor(n_threads) as pool:
        parts = list(pool.map(count, range(n_threads)))
    if bar is not None:
        bar.close()
    return _Counts.results(parts)


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

    @classmethod
    def results(cls, parts: "list[_Counts]") -> VerificationResults:
        """Of counts by one ruler, added up."""
        one = parts[0]
        thresholds = one._ruler.distances(
            float(one._low) + one._width * np.arange(N_BINS + 1)
        )
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
