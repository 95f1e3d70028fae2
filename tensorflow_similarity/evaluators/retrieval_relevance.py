"""Which items are relevant to which query, and how much: three ways to say so.

The queries of a block are given by their numbers, `own` are the positions of the items
that they are themselves, -1 for none. Gains are 0 for items that are not relevant.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np

from tensorflow_similarity._core import doors
from tensorflow_similarity.evaluators.class_codes import NO_CLASS, class_codes

_BLOCK = 4_000_000


class Relevance(ABC):
    """What `evaluate_retrieval` asks of labels.

    Attributes:
        classes: the labels, ascending; none where relevance is graded.
    """

    classes: np.ndarray = np.empty(0)

    @abstractmethod
    def counts(self, own: np.ndarray) -> np.ndarray:
        """Relevant items of each query, (n_queries,), itself not among them."""

    @abstractmethod
    def rows(self, block: np.ndarray, own: np.ndarray) -> np.ndarray:
        """Gains of all items, (len(block), n_items), 0 for the query itself."""

    def at(
        self, block: np.ndarray, own: np.ndarray, positions: np.ndarray
    ) -> np.ndarray:
        """Gains of some items of each query, shape of `positions`."""
        return np.take_along_axis(self.rows(block, own), positions, 1)

    def ideal(
        self, block: np.ndarray, own: np.ndarray, n_relevant: np.ndarray, k: int
    ) -> np.ndarray:
        """The k largest gains of each query, descending, (len(block), k)."""
        return (np.arange(k) < n_relevant[:, None]).astype(np.float64)

    def members(self, block: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Which query of the block has which class, pair by pair: two arrays."""
        raise ValueError(
            "Figures by class need labels. Expected: `labels` without `relevance`. "
            "Received: `relevance` with `average='macro'` or `per_class=True`."
        )


class SameLabel(Relevance):
    """An item is relevant when it has the query's label."""

    def __init__(self, item_labels: np.ndarray, query_labels: np.ndarray):
        # int32: codes of thousands of neighbours are gathered for each query.
        codes, self.classes = class_codes(item_labels, query_labels)
        self._items, self._queries = codes
        # The last class is none and has no items: what the code -1 points at.
        present = self._items[self._items != NO_CLASS]
        self._sizes = np.bincount(present, minlength=len(self.classes) + 1)

    def counts(self, own: np.ndarray) -> np.ndarray:
        found: np.ndarray = self._sizes[self._queries]
        same = (own >= 0) & (self._items[own] == self._queries) & (self._queries >= 0)
        return found - same

    def rows(self, block: np.ndarray, own: np.ndarray) -> np.ndarray:
        return _without(self._items == self._asked(block), own)

    def at(
        self, block: np.ndarray, own: np.ndarray, positions: np.ndarray
    ) -> np.ndarray:
        return np.asarray(self._items[positions] == self._asked(block))

    def members(self, block: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.arange(len(block)), self._queries[block]

    def _asked(self, block: np.ndarray) -> np.ndarray:
        codes = self._queries[block, None]
        return np.where(codes < 0, -2, codes)  # no label equals no other


class SharedLabel(Relevance):
    """An item is relevant when it shares a label with the query: (n, n_classes)."""

    def __init__(self, item_labels: np.ndarray, query_labels: np.ndarray):
        self._items = item_labels.astype(np.float32)
        self._queries = query_labels.astype(np.float32)
        self.classes = np.arange(item_labels.shape[1])

    def counts(self, own: np.ndarray) -> np.ndarray:
        step = max(1, _BLOCK // len(self._items))
        found = np.empty(len(self._queries), np.int64)
        for start in range(0, len(found), step):
            block = np.arange(start, min(start + step, len(found)))
            found[block] = np.count_nonzero(self.rows(block, own[block]), axis=1)
        return found

    def rows(self, block: np.ndarray, own: np.ndarray) -> np.ndarray:
        return _without(self._queries[block] @ self._items.T > 0, own)

    def members(self, block: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        query, code = np.nonzero(self._queries[block])
        return query, code


class Graded(Relevance):
    """Gains that the user gave: a matrix, or a function of query numbers."""

    def __init__(
        self,
        relevance: np.ndarray | Callable[[np.ndarray], Any],
        n_queries: int,
        n_items: int,
    ):
        self._shape = (n_queries, n_items)
        self._given = relevance
        if not callable(relevance):
            self._given = doors.as_array(relevance)
            self._check(self._given, n_queries)

    def counts(self, own: np.ndarray) -> np.ndarray:
        step = max(1, _BLOCK // self._shape[1])
        found = np.empty(self._shape[0], np.int64)
        for start in range(0, len(found), step):
            block = np.arange(start, min(start + step, len(found)))
            found[block] = np.count_nonzero(self.rows(block, own[block]), axis=1)
        return found

    def rows(self, block: np.ndarray, own: np.ndarray) -> np.ndarray:
        if callable(self._given):
            gains = doors.as_array(self._given(block))
            self._check(gains, len(block))
        else:
            gains = self._given[block]
        gains = gains.astype(np.float64)
        if not (gains >= 0).all() or not np.isfinite(gains).all():
            raise ValueError(
                "`relevance` must be finite numbers of at least 0. Received: values "
                f"from {gains.min()} to {gains.max()}."
            )
        return _without(gains, own)

    def ideal(
        self, block: np.ndarray, own: np.ndarray, n_relevant: np.ndarray, k: int
    ) -> np.ndarray:
        gains = self.rows(block, own)
        k = min(k, gains.shape[1])
        if k < gains.shape[1]:
            gains = -np.partition(-gains, k - 1, axis=1)[:, :k]
        return -np.sort(-gains, axis=1)

    def _check(self, gains: np.ndarray, n_queries: int) -> None:
        expected = (n_queries, self._shape[1])
        if gains.dtype.kind not in "fiub" or gains.shape != expected:
            raise ValueError(
                "`relevance` must be numbers of shape (n_queries, n_items), or a "
                "function that gives them for an array of query numbers. Expected: "
                f"{expected}. Received: dtype={gains.dtype}, shape={gains.shape}."
            )


def as_relevance(
    labels: Any,
    query_labels: Any,
    relevance: Any,
    n_items: int,
    n_queries: int,
    alone: bool,
) -> Relevance:
    """The kind of relevance that was given, checked."""
    if relevance is not None:
        if labels is not None or query_labels is not None:
            raise ValueError(
                "`relevance` stands in place of labels. Received both. Pass "
                "`labels=None`."
            )
        return Graded(relevance, n_queries, n_items)
    sets = as_label_sets(labels, n_items, "labels")
    if sets is None:
        item_labels = doors.as_labels(labels, n_items)
        if alone:
            return SameLabel(item_labels, item_labels)
        return SameLabel(
            item_labels, doors.as_labels(query_labels, n_queries, "query_labels")
        )
    asked = sets if alone else as_label_sets(query_labels, n_queries, "query_labels")
    if asked is None or asked.shape[1] != sets.shape[1]:
        raise ValueError(
            "`query_labels` must be a matrix of 0 and 1 as `labels` are, shape "
            f"({n_queries}, {sets.shape[1]}). Received: "
            f"shape={np.shape(query_labels)}."
        )
    return SharedLabel(sets, asked)


def as_label_sets(labels: Any, n: int, name: str) -> np.ndarray | None:
    """Labels as a bool matrix (n, n_classes) if they are one, else None.

    Raises:
        ValueError: for a matrix with other values than 0 and 1, or of another length.
    """
    if labels is None or isinstance(labels, str):
        return None
    try:
        array = doors.as_array(labels)
    except ValueError:
        return None
    if array.ndim != 2 or array.shape[1] < 2 or array.dtype.kind not in "biuf":
        return None
    if len(array) != n or ((array != 0) & (array != 1)).any():
        raise ValueError(
            f"`{name}` as a matrix must hold 0 and 1, shape ({n}, n_classes), one row "
            f"for each item. Received: shape={array.shape}, values from {array.min()} "
            f"to {array.max()}."
        )
    return array.astype(bool)


def _without(gains: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Gains with 0 for the queries themselves, in place."""
    known = np.flatnonzero(own >= 0)
    gains[known, own[known]] = 0
    return gains
