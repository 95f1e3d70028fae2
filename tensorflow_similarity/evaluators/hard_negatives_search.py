"""Which items are negatives of an anchor, nearest first; exact, block by block."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from tensorflow_similarity._core.vectors import Vectors
from tensorflow_similarity.search import Search
from tensorflow_similarity.search.exact import exact_top_k, measured
from tensorflow_similarity.search.kernels import kernel_of

# Neighbours held at a time: with their distances about 25 MB.
_BLOCK_NEIGHBOURS = 2_000_000
# Classes above this size are searched without their own items; the anchors of smaller
# ones ask for so many neighbours more.
_SMALL_CLASS = 64
# An anchor that found too few negatives asks for so many times as many neighbours.
_DEEPER = 4


class NegativeSearch:
    """Ranks the negatives of anchors.

    Args:
        search: holds the items by their rows.
        items: float32, shape (n, dim).
        codes: class numbers of the items, -1 without a label, or None.
        pairs: rows [anchor, positive] to keep apart, shape (n_pairs, 2).
        alone: whether the anchors are the items themselves.
        exact: whether to search exactly, and not by `search`.
    """

    def __init__(
        self,
        search: Search,
        items: np.ndarray,
        codes: np.ndarray | None,
        pairs: np.ndarray,
        alone: bool,
        exact: bool,
    ):
        self._search = search
        self._kernel = kernel_of(search.distance)
        self._vectors = Vectors(items.shape[1]).append(items) if exact else None
        self._codes = codes
        self._alone = alone
        self._n = len(items)
        self._keys = np.unique(pairs[:, 0] * self._n + pairs[:, 1])
        self._n_apart = int(np.bincount(pairs[:, 0]).max()) if len(pairs) else 0

    def blocks(
        self,
        anchors: np.ndarray,
        anchor_codes: np.ndarray | None,
        owners: np.ndarray,
        n_wanted: int,
    ) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Yields places in `owners`, and rows and distances of their negatives.

        Args:
            anchors: float32, shape (n_anchors, dim).
            anchor_codes: their class numbers, or None.
            owners: rows of `anchors`, one a pair.
            n_wanted: negatives of each, at most.

        Yields:
            places (n,), rows (n, n_wanted) with -1 where there are no more, and
            distances alike.
        """
        for places, view, extra in self._groups(anchor_codes, owners):
            step = max(1, _BLOCK_NEIGHBOURS // (n_wanted + extra))
            for start in range(0, len(places), step):
                block = places[start : start + step]
                asked = owners[block]
                codes = None if anchor_codes is None else anchor_codes[asked]
                rows, found = self._ranked(
                    anchors[asked], asked, codes, view, n_wanted, extra
                )
                yield block, rows, found

    def _groups(
        self, anchor_codes: np.ndarray | None, owners: np.ndarray
    ) -> Iterator[tuple[np.ndarray, Vectors | None, int]]:
        """Places of pairs that search alike, among which rows, and how much deeper."""
        apart = self._n_apart + self._alone
        if self._codes is None or anchor_codes is None:
            yield np.arange(len(owners)), self._vectors, apart
            return
        sizes = np.bincount(self._codes[self._codes >= 0], minlength=1)
        own = anchor_codes[owners]
        size = np.where(own < len(sizes), sizes[np.minimum(own, len(sizes) - 1)], 0)
        large = size > _SMALL_CLASS
        small = np.flatnonzero(~large)
        labelled = self._codes >= 0
        if self._vectors is None:
            yield np.arange(len(owners)), None, apart + _SMALL_CLASS
            return
        if len(small):
            deeper = int(size[small].max())
            yield small, self._vectors.masked(labelled), apart + deeper
        for code in np.unique(own[large]):
            view = self._vectors.masked(labelled & (self._codes != code))
            yield np.flatnonzero(own == code), view, self._n_apart

    def _ranked(
        self,
        queries: np.ndarray,
        owners: np.ndarray,
        codes: np.ndarray | None,
        view: Vectors | None,
        n_wanted: int,
        extra: int,
    ) -> tuple[np.ndarray, np.ndarray]:
        rows = np.full((len(queries), n_wanted), -1, np.int64)
        distances = np.full(rows.shape, np.inf, np.float32)
        todo, depth = np.arange(len(queries)), n_wanted + extra
        while len(todo):
            asked = min(depth, self._n)
            near, found = self._nearest(queries[todo], view, asked)
            good = np.isfinite(found)
            if self._alone:
                good &= near != owners[todo, None]
            if codes is not None and self._codes is not None:
                others = self._codes[near]
                good &= (others != codes[todo, None]) & (others >= 0)
            if len(self._keys):
                keys = owners[todo, None] * self._n + near
                places = np.searchsorted(self._keys, keys)
                places = np.minimum(places, len(self._keys) - 1)
                good &= self._keys[places] != keys
            order = np.argsort(~good, axis=1, kind="stable")[:, :n_wanted]
            is_good = np.take_along_axis(good, order, 1)
            width = order.shape[1]
            taken = np.take_along_axis(near, order, 1)
            rows[todo, :width] = np.where(is_good, taken, -1)
            taken = np.take_along_axis(found, order, 1)
            distances[todo, :width] = np.where(is_good, taken, np.inf)
            if near.shape[1] < asked or asked == self._n:
                break
            todo = todo[good.sum(axis=1) < n_wanted]
            depth = asked * _DEEPER
        return rows, distances

    def _nearest(
        self, queries: np.ndarray, view: Vectors | None, depth: int
    ) -> tuple[np.ndarray, np.ndarray]:
        if view is None:
            near, found = self._search.batch_lookup(queries, depth)
            if near.size and not -1 <= near.min() <= near.max() < self._n:
                raise ValueError(
                    "`search` must hold the rows of `embeddings` by the ids 0 to "
                    f"{self._n - 1}. Received: ids from {near.min()} to {near.max()}."
                )
            return near, found
        return exact_top_k(self._kernel, view, queries, depth)


def pair_distances(
    search: Search, anchors: np.ndarray, items: np.ndarray, pairs: np.ndarray
) -> np.ndarray:
    """Distance of each pair [anchor, item]; NaN where the item is -1."""
    kernel = kernel_of(search.distance)
    vectors = Vectors(items.shape[1]).append(items)
    there = np.flatnonzero(pairs[:, 1] >= 0)
    distances = np.full(len(pairs), np.nan)
    step = max(1, _BLOCK_NEIGHBOURS // items.shape[1])
    for start in range(0, len(there), step):
        part = there[start : start + step]
        found = measured(kernel, vectors, anchors[pairs[part, 0]], pairs[part, 1:])
        distances[part] = found[:, 0]
    return distances


def nearest_positives(
    search: Search,
    anchors: np.ndarray,
    items: np.ndarray,
    anchor_codes: Any,
    codes: Any,
    alone: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """The nearest item of its class for every anchor with a label, but itself.

    Returns:
        pairs [anchor, positive], -1 where there is none, and their distances, NaN
        there.
    """
    kernel = kernel_of(search.distance)
    vectors = Vectors(items.shape[1]).append(items)
    owners = np.flatnonzero(anchor_codes >= 0)
    own = anchor_codes[owners]
    order = np.argsort(codes, kind="stable")
    order = order[codes[order] >= 0]
    n_classes = max(codes.max(initial=-1), own.max(initial=-1)) + 1
    sizes = np.bincount(codes[order], minlength=n_classes)
    starts = np.cumsum(sizes) - sizes
    best = np.full(len(owners), -1, np.int64)
    distances = np.full(len(owners), np.nan)

    for code in np.flatnonzero(sizes > _SMALL_CLASS):
        members = order[starts[code] : starts[code] + sizes[code]]
        asking = np.flatnonzero(own == code)
        part = Vectors(items.shape[1]).append(items[members])
        rows, found = exact_top_k(kernel, part, anchors[owners[asking]], 1 + alone)
        rows = members[rows]
        first = np.zeros(len(asking), np.int64)
        if alone:
            first = (rows[:, 0] == owners[asking]).astype(np.int64)
        every = np.arange(len(asking))
        best[asking], distances[asking] = rows[every, first], found[every, first]

    small = np.flatnonzero((sizes[own] <= _SMALL_CLASS) & (sizes[own] > alone))
    step = max(1, _BLOCK_NEIGHBOURS // (_SMALL_CLASS * items.shape[1]))
    for start in range(0, len(small), step):
        asking = small[start : start + step]
        size = sizes[own[asking]]
        places = np.arange(int(size.max()))
        there = places < size[:, None]
        places = starts[own[asking]][:, None] + np.where(there, places, 0)
        rows = order[places]
        if alone:
            there &= rows != owners[asking, None]
        found = measured(kernel, vectors, anchors[owners[asking]], rows)
        found = np.where(there, found, np.inf)
        nearest = np.arange(len(asking)), found.argmin(axis=1)
        best[asking], distances[asking] = rows[nearest], found[nearest]
    return np.stack([owners, best], axis=1), distances
