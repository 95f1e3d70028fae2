"""Sets of k-reciprocal neighbours, and how far two of them overlap. Sparse."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from tensorflow_similarity._core.optional import optional_import
from tensorflow_similarity.search.kernels import Kernel

# Floats gathered or scattered at a time: 16 MB.
BLOCK_FLOATS = 4 * 1024 * 1024


@dataclass(frozen=True)
class Neighbours:
    """What R and R* are made of.

    Args:
        items: float32, shape (n, dim).
        near, distances: the nearest other items of each, shape (n, at least k1).
        k1: the paper's k1.
        scale: what distances are divided by.
    """

    kernel: Kernel
    items: np.ndarray
    near: np.ndarray
    distances: np.ndarray
    k1: int
    scale: float

    def encode(
        self, rows: np.ndarray, near: np.ndarray, found: np.ndarray, own: bool
    ) -> Any:
        """V of rows with these nearest items, sparse (len(rows), n).

        Args:
            own: whether the rows are the items, and so stand in their own sets. A query
                has no column: it would be in no item's V.
        """
        wide = self._reciprocal(near, found, self.k1, own)
        half = self._reciprocal(self.near, self.distances, half_of(self.k1), own=True)
        sizes = np.diff(half.indptr)
        parts = []
        step = max(1, BLOCK_FLOATS // (8 * (self.k1 + 1) ** 2))
        for start in range(0, len(rows), step):
            block = wide[start : start + step]
            common = (block @ half.T).multiply(block).tocsr()
            enough = 3 * common.data >= 2 * sizes[common.indices]
            common.data = enough.astype(np.int32)
            common.eliminate_zeros()
            parts.append(((block + common @ half) > 0).tocsr())
        sparse = optional_import("scipy.sparse", purpose="Re-ranking")
        members = sparse.vstack(parts).tocsr().astype(np.float32)
        members.sort_indices()
        counts = np.diff(members.indptr)
        owners = np.repeat(np.arange(len(rows)), counts)
        step = max(1, BLOCK_FLOATS // self.items.shape[1])
        for start in range(0, members.nnz, step):
            part = slice(start, start + step)
            gathered = self.items[members.indices[part]][:, None]
            values = self.kernel.measure(rows[owners[part]], gathered)[:, 0]
            members.data[part] = np.exp(-values / self.scale)
        return members

    def _reciprocal(
        self, near: np.ndarray, found: np.ndarray, k: int, own: bool
    ) -> Any:
        """R(x, k) as a sparse matrix of ones."""
        sparse = optional_import("scipy.sparse", purpose="Re-ranking")
        # With fewer than k others the k-th is the last.
        limits = self.distances[:, min(k, self.distances.shape[1]) - 1]
        mutual = found[:, :k] <= limits[near[:, :k]]
        owners = np.nonzero(mutual)[0]
        columns = near[:, :k][mutual]
        if own:
            owners = np.concatenate([owners, np.arange(len(near))])
            columns = np.concatenate([columns, np.arange(len(near))])
        ones = np.ones(len(owners), np.int32)
        shape = (len(near), len(self.items))
        return sparse.csr_array((ones, (owners, columns)), shape=shape)


def averaged(rows: Any, encoded: Any, near: np.ndarray, k2: int, own: bool) -> Any:
    """V': V over a row and its k2 - 1 nearest items."""
    n_others = min(k2 - 1, near.shape[1])
    if not n_others:
        return rows
    sparse = optional_import("scipy.sparse", purpose="Re-ranking")
    owners = np.repeat(np.arange(len(near)), n_others)
    ones = np.ones(len(owners), np.float32)
    shape = (len(near), encoded.shape[0])
    others = sparse.csr_array((ones, (owners, near[:, :n_others].ravel())), shape=shape)
    return ((rows + others @ encoded) / np.float32(n_others + 1)).tocsr()


def overlaps(
    queries: Any, items: Any, candidates: np.ndarray
) -> Iterator[tuple[slice, np.ndarray]]:
    """Sum of minima over sum of maxima, of queries and their candidates, by blocks.

    The minima come from the columns of the items: what no item shares costs nothing.
    """
    n = items.shape[0]
    columns = items.tocsc()
    n_owners = np.diff(columns.indptr)
    totals = [np.asarray(part.sum(axis=1), np.float64) for part in (queries, items)]
    step = max(1, BLOCK_FLOATS // n)
    for start in range(0, len(candidates), step):
        part = slice(start, min(start + step, len(candidates)))
        rows = queries[part].tocoo()
        counts = n_owners[rows.col]
        ends = np.cumsum(counts)
        places = np.arange(ends[-1] if len(ends) else 0)
        places += np.repeat(columns.indptr[rows.col] - (ends - counts), counts)
        least = np.minimum(np.repeat(rows.data, counts), columns.data[places])
        keys = np.repeat(rows.row.astype(np.int64) * n, counts)
        keys += columns.indices[places]
        n_rows = part.stop - start
        minima = np.bincount(keys, least, minlength=n_rows * n).reshape(n_rows, n)
        shared = np.take_along_axis(minima, candidates[part], 1)
        sums = totals[0][part][:, None] + totals[1][candidates[part]]
        # Rows of V sum to 0 only where every weight underflows: then nothing is shared.
        either = np.maximum(sums - shared, np.finfo(np.float64).tiny)
        yield part, np.minimum(shared / either, 1.0)


def half_of(k1: int) -> int:
    """Half of k1, rounded up."""
    return (k1 + 1) // 2
