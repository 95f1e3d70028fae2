"""Exact search over blocks of rows: memory for one tile, whatever the index's size."""

import numpy as np

from tensorflow_similarity._core.vectors import Vectors, rows_per_block
from tensorflow_similarity.search.kernels import Kernel

# Rows kept beyond k by rank, for measuring: usually enough to prove the k exact.
_RESERVE = 16
# Floats of ranks, and of gathered rows, held at a time (2 MB and 16 MB).
_TILE_FLOATS = 512 * 1024
_GATHER_FLOATS = 4 * 1024 * 1024
# Rows fewer than this share of all are copied together before they are searched.
_SPARSE_SHARE = 0.25

# The number of the first row, rows, and their squared lengths.
_Block = tuple[int, np.ndarray, np.ndarray]


def exact_top_k(
    kernel: Kernel,
    vectors: Vectors,
    queries: np.ndarray,
    k: int,
    start: int = 0,
    end: int | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest of rows [start, end), nearest first, equal ones by row.

    Rows are ranked by matrix products, some more than k are measured accurately, and
    where rounding could have hidden a nearer row, all rows within the rounding are
    measured. Where few rows are there, as behind a filter, they are gathered first.

    Args:
        queries: float32, shape (n_queries, dim).
        k: at least 1.

    Returns:
        rows: int64, shape (n_queries, min(k, alive rows)); distances: float32, alike.
    """
    end = vectors.size if end is None else end
    n_rows = end - start
    if vectors.dead is not None:
        n_rows -= int(np.count_nonzero(vectors.dead[start:end]))
    k = min(k, n_rows)
    rows = np.empty((len(queries), k), np.int64)
    distances = np.empty((len(queries), k), np.float32)
    if k == 0:
        return rows, distances
    if _is_sparse(n_rows, end - start, vectors.dim):
        alive = vectors.alive_rows(start, end)
        gathered = Vectors(vectors.dim).append(vectors.take(alive))
        rows, distances = exact_top_k(kernel, gathered, queries, k)
        return alive[rows], distances
    blocks = vectors.blocks(start, end)
    tile = max(64, _TILE_FLOATS // rows_per_block(vectors.dim))
    for i in range(0, len(queries), tile):
        part = slice(i, i + tile)
        rows[part], distances[part] = _tile_top_k(
            kernel, vectors, blocks, queries[part], k, n_rows
        )
    return rows, distances


def _is_sparse(n_rows: int, n_all: int, dim: int) -> bool:
    """Whether copying so few of all rows costs less than to pass over all."""
    fits = n_rows * dim <= _GATHER_FLOATS or n_rows <= 0.05 * n_all
    return fits and n_rows < _SPARSE_SHARE * n_all


def _tile_top_k(
    kernel: Kernel,
    vectors: Vectors,
    blocks: list[_Block],
    queries: np.ndarray,
    k: int,
    n_rows: int,
) -> tuple[np.ndarray, np.ndarray]:
    n_kept = min(k + _RESERVE, n_rows)
    prepared = kernel.prepare(queries)
    ranks, rows = _best_by_rank(kernel, vectors, blocks, prepared, n_kept)
    distances = measured(kernel, vectors, queries, rows)
    order = np.lexsort((rows, distances))[:, :k]
    found = np.take_along_axis(rows, order, 1)
    distances = np.take_along_axis(distances, order, 1)
    if n_kept < n_rows:
        largest = max(float(s.max()) for _, _, s in blocks)
        # Further rows than this by rank are further than the k-th by distance.
        limits = kernel.rank_of(prepared, distances[:, -1:])
        limits = limits + kernel.rounding(prepared, largest)
        unproved = np.flatnonzero(ranks.max(axis=1, keepdims=True) <= limits)
        for i in unproved:
            found[i], distances[i] = _measure_within(
                kernel, vectors, blocks, queries[i : i + 1], limits[i, 0], k
            )
    return found, distances


def _rank_block(
    kernel: Kernel,
    vectors: Vectors,
    queries: np.ndarray,
    block: _Block,
) -> np.ndarray:
    """Ranks of one block's rows, +inf for the dead."""
    first, rows, squares = block
    ranks = kernel.rank(queries, rows, squares)
    if vectors.dead is not None:
        ranks[:, vectors.dead[first : first + len(rows)]] = np.inf
    return ranks


def _best_by_rank(
    kernel: Kernel,
    vectors: Vectors,
    blocks: list[_Block],
    queries: np.ndarray,
    n_kept: int,
) -> tuple[np.ndarray, np.ndarray]:
    """The n_kept rows of lowest rank per query, unordered: ranks and rows."""
    if len(queries) == 1:
        return _best_of_one(kernel, vectors, blocks, queries, n_kept)
    n_queries = len(queries)
    best = np.empty((n_queries, 0), np.float32)
    best_rows = np.empty((n_queries, 0), np.int64)
    for block in blocks:
        ranks = _rank_block(kernel, vectors, queries, block)
        if best.shape[1] < n_kept:
            limits = _beyond_lowest(ranks, n_kept)
        else:
            limits = best.max(axis=1, keepdims=True)
        ranks, rows = _below(ranks, limits, block[0])
        if not ranks.shape[1]:
            continue
        best = np.concatenate([best, ranks], axis=1)
        best_rows = np.concatenate([best_rows, rows], axis=1)
        if best.shape[1] > n_kept:
            lowest = np.argpartition(best, n_kept - 1, axis=1)[:, :n_kept]
            best = np.take_along_axis(best, lowest, 1)
            best_rows = np.take_along_axis(best_rows, lowest, 1)
    return best, best_rows


def _best_of_one(
    kernel: Kernel,
    vectors: Vectors,
    blocks: list[_Block],
    query: np.ndarray,
    n_kept: int,
) -> tuple[np.ndarray, np.ndarray]:
    """As `_best_by_rank` for one query, with all its ranks in memory at once."""
    parts = [_rank_block(kernel, vectors, query, block)[0] for block in blocks]
    ranks = np.concatenate(parts)
    near = np.flatnonzero(ranks < _beyond_lowest(ranks[None], n_kept)[0, 0])
    if len(near) > n_kept:
        near = near[np.argpartition(ranks[near], n_kept - 1)[:n_kept]]
    return ranks[near][None], near[None] + blocks[0][0]


def _beyond_lowest(ranks: np.ndarray, n: int) -> np.ndarray:
    """Per query a limit, shape (n_queries, 1), with at least n of its ranks below.

    The n-th lowest of the minima of groups is such a limit, at the cost of one pass
    over the ranks (measured: a tenth of `argpartition` on 64 x 8,192).
    """
    width = ranks.shape[1]
    if width <= n:
        return np.full((len(ranks), 1), np.inf, np.float32)
    n_groups = 1 << max(8, (4 * n - 1).bit_length())
    height = width // n_groups
    if height > 1:
        ranks = ranks[:, : height * n_groups].reshape(len(ranks), height, n_groups)
        ranks = ranks.min(axis=1)
    limits = np.partition(ranks, n - 1, axis=1)[:, n - 1 : n]
    with np.errstate(over="ignore"):  # beyond the largest float is infinity
        return np.nextafter(limits, np.float32(np.inf))


def _below(
    ranks: np.ndarray, limits: np.ndarray, first_row: int
) -> tuple[np.ndarray, np.ndarray]:
    """Only the ranks under each query's limit, packed to the left, +inf behind."""
    if len(ranks) == 1:
        columns = np.flatnonzero(ranks[0] < limits[0])
        return ranks[:, columns], columns[None] + first_row
    # On the flat array this is several times as fast as on rows and columns.
    queries, columns = np.divmod(np.flatnonzero(ranks < limits), ranks.shape[1])
    counts = np.bincount(queries, minlength=len(ranks))
    shape = (len(ranks), int(counts.max(initial=0)))
    places = np.arange(len(queries)) - np.repeat(np.cumsum(counts) - counts, counts)
    packed = np.full(shape, np.inf, np.float32)
    rows = np.zeros(shape, np.int64)
    packed[queries, places] = ranks[queries, columns]
    rows[queries, places] = columns + first_row
    return packed, rows


def measured(
    kernel: Kernel, vectors: Vectors, queries: np.ndarray, rows: np.ndarray
) -> np.ndarray:
    """Distances of each query to its own rows (n_queries, n), a few queries a time."""
    distances = np.empty(rows.shape, np.float32)
    step = max(1, _GATHER_FLOATS // (rows.shape[1] * vectors.dim))
    for i in range(0, len(rows), step):
        part = slice(i, i + step)
        distances[part] = kernel.measure(queries[part], vectors.take(rows[part]))
    return distances


def _measure_within(
    kernel: Kernel,
    vectors: Vectors,
    blocks: list[_Block],
    query: np.ndarray,
    limit: float,
    k: int,
) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest rows of one query among all rows of rank up to `limit`."""
    prepared = kernel.prepare(query)
    rows = np.empty(0, np.int64)
    distances = np.empty(0, np.float32)
    for block in blocks:
        ranks = _rank_block(kernel, vectors, prepared, block)[0]
        near = np.flatnonzero(ranks <= limit)
        if len(near):
            values = kernel.measure(query, block[1][near][None])[0]
            rows = np.concatenate([rows, near + block[0]])
            distances = np.concatenate([distances, values])
            if len(rows) > k:
                nearest = np.lexsort((rows, distances))[:k]
                rows, distances = rows[nearest], distances[nearest]
    order = np.lexsort((rows, distances))
    return rows[order], distances[order]
