"""The nearest items of each query in order, to any depth."""

import importlib
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

import numpy as np

from tensorflow_similarity.search import LinearSearch
from tensorflow_similarity.search.pairwise import Pairwise

# Up to this depth neighbours come from `LinearSearch`, deeper ones from all distances
# (on 60,000 x 64 with two cores the search is faster at 10, neither clearly at 100).
_SHALLOW = 64
# Distances held at a time by each thread, 32 MB, and queries at least and at most.
_DISTANCES = 8 * 1024 * 1024
_FEWEST, _MOST = 32, 512

Answer = TypeVar("Answer")


class Ranking:
    """Items ordered by distance, equal ones by position.

    Args:
        distance: name of a distance or a `Distance`.
        items: float32, shape (n_items, dim).
        queries: float32, shape (n_queries, dim).
        own: positions of the items that the queries are themselves and that are left
            out, -1 for none, shape (n_queries,).
    """

    def __init__(
        self, distance: Any, items: np.ndarray, queries: np.ndarray, own: np.ndarray
    ):
        self._search = LinearSearch(distance, items.shape[1])
        self._items, self._queries, self._own = items, queries, own
        self.n_items = len(items)
        self._is_added = False
        self._pairwise: Pairwise | None = None

    def prepare(self, shallow: bool) -> None:
        """Makes what the blocks to come share, before threads use it."""
        if shallow and not self._is_added:
            self._search.batch_add(self._items, np.arange(len(self._items)))
            self._is_added = True
        if not shallow and self._pairwise is None:
            self._pairwise = Pairwise(self._search.distance, self._items)

    def nearest(self, block: np.ndarray, depth: int) -> np.ndarray:
        """Positions of the nearest items, shape (len(block), depth).

        Either all queries of the block are items themselves, or none is.
        """
        own = self._own[block]
        if depth > _SHALLOW:
            return nearest_positions(self.distances(block), depth)
        is_own = bool((own >= 0).any())
        found, _ = self._search.batch_lookup(self._queries[block], depth + is_own)
        return _without_own(found, own) if is_own else found

    def distances(self, block: np.ndarray) -> np.ndarray:
        """To all items, shape (len(block), n_items), infinite for the query itself."""
        pairwise: Any = self._pairwise
        found: np.ndarray = pairwise.distances(self._queries[block])
        own = self._own[block]
        known = np.flatnonzero(own >= 0)
        found[known, own[known]] = np.inf
        return found


def is_shallow(depth: Any) -> Any:
    """Whether `Ranking.nearest` searches, rather than compares all distances."""
    return depth <= _SHALLOW


def queries_per_block(n_items: int) -> int:
    """How many queries to compare with all items at a time."""
    return min(max(_DISTANCES // n_items, _FEWEST), _MOST)


def nearest_positions(distances: np.ndarray, depth: int) -> np.ndarray:
    """The columns of the `depth` smallest values of each row, equal ones by column.

    Rows are cut at their depth-th value; what is left is sorted as integers that hold
    the value in the upper and the place in the block in the lower 32 bits.
    """
    n_rows, width = distances.shape
    limits = np.partition(distances, depth - 1, axis=1)[:, depth - 1 : depth]
    flat = np.flatnonzero(distances <= limits)
    firsts = np.arange(n_rows + 1) * width
    counts = np.diff(np.searchsorted(flat, firsts))
    # Adding 0 makes -0 the same as 0.
    bits = (distances.ravel()[flat] + np.float32(0)).view(np.int32)
    if (bits < 0).any():
        # Negative floats order backwards as integers.
        bits ^= (bits >> 31) & 0x7FFFFFFF
    keys = bits.astype(np.int64)
    keys <<= 32
    keys |= flat
    if counts.max() > depth:
        packed = np.full((n_rows, int(counts.max())), np.iinfo(np.int64).max)
        packed[np.arange(packed.shape[1]) < counts[:, None]] = keys
    else:
        packed = keys.reshape(n_rows, depth)
    packed.sort(axis=1)
    return (packed[:, :depth] & 0xFFFFFFFF) - firsts[:-1, None]


def in_threads(
    work: Callable[[np.ndarray], Answer], blocks: list[np.ndarray], verbose: int
) -> Iterator[tuple[np.ndarray, Answer]]:
    """`work` of each block, in order, on all cores, behind a progress bar if asked."""
    shown: Any = blocks
    if verbose:
        from tqdm.auto import tqdm

        shown = tqdm(blocks, desc="Evaluating retrieval", unit="block")
    n_threads = min(_n_cores(), len(blocks))
    with _single_threaded_products(n_threads), ThreadPoolExecutor(n_threads) as pool:
        yield from zip(shown, pool.map(work, blocks), strict=True)


def _n_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _single_threaded_products(n_threads: int) -> AbstractContextManager[Any]:
    """While blocks share the cores, products must not each start threads for all."""
    if n_threads == 1:
        return nullcontext()
    try:
        threadpoolctl: Any = importlib.import_module("threadpoolctl")
    except ImportError:
        return nullcontext()
    limits: AbstractContextManager[Any] = threadpoolctl.threadpool_limits(
        1, user_api="blas"
    )
    return limits


def _without_own(neighbours: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Drops each query's own position; where it is not there, the last neighbour."""
    keep = neighbours != own[:, None]
    keep[keep.all(axis=1), -1] = False
    return neighbours[keep].reshape(len(neighbours), -1)
