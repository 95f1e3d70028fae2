"""Records that travel between rooms: dataclasses of arrays, and names for tensors."""

import operator
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, overload

import numpy as np

# A tensor of the active Keras backend. Keras has no types; shapes stand in docstrings.
Tensor = Any
BoolTensor = FloatTensor = IntTensor = Tensor

NO_ID = -1
"""Stands in `Lookups.ids` where no neighbour was found."""

NO_LABEL = int(np.iinfo(np.int64).min)
"""Stands in integer label arrays where an item has no label."""


@dataclass(eq=False)
class Lookup:
    """One neighbour of one query.

    Two lookups are equal when every field is: ranks and distances exactly, arrays
    element by element with NaN equal to NaN.

    Args:
        rank: int from 1, the nearest first.
        distance: float, in the unit of the index's distance.
        label: int or string, None if the item was indexed without one.
        embedding: float32 array, shape (dim,), as it was indexed.
        data: what the user gave as `data` for this item, None if nothing.
    """

    rank: int
    distance: float
    label: int | str | None = None
    embedding: np.ndarray | None = None
    data: Any = None

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        if other.__class__ is not self.__class__ or not isinstance(other, Lookup):
            return NotImplemented
        return (
            self.rank == other.rank
            and self.distance == other.distance
            and self.label == other.label
            and _same(self.embedding, other.embedding)
            and _same(self.data, other.data)
        )


def ranked(
    distances: np.ndarray,
    labels: np.ndarray,
    embeddings: Sequence[Any] | np.ndarray,
    data: Sequence[Any],
) -> list[Lookup]:
    """The neighbours of one query as objects, from what is known of each, (k,)."""
    values, names = distances.tolist(), labels.tolist()
    return [
        Lookup(
            j + 1,
            values[j],
            None if names[j] == NO_LABEL else names[j],
            embeddings[j],
            data[j],
        )
        for j in range(len(values))
    ]


class Records(Protocol):
    """Where `Lookups` fetches what is made only when looked at."""

    def fetch(self, ids: np.ndarray) -> tuple[np.ndarray, Sequence[Any]]:
        """Embeddings (n, dim) and user data of the items with these ids."""
        ...


class Lookups(Sequence[list[Lookup]]):
    """The answer to a batch of queries: arrays, read as a list of lists of `Lookup`.

    `lookups[i][j]` is the neighbour of rank j + 1 of query i. Its object, its
    embedding and its user data are made when they are looked at, from the state that
    the index had at the time of the lookup, whatever has happened to it since.
    `lookups[2:5]` is a `Lookups` of three queries.

    Args:
        ids: int64, shape (n_queries, k). The index's own ids, -1 where not found.
        distances: float32, shape (n_queries, k), ascending; inf where not found.
        labels: shape (n_queries, k): int64 with `NO_LABEL` for items without one, or
            an object array of strings and None.
        found: bool, shape (n_queries, k). Defaults to `ids >= 0`.
        records: gives embeddings and user data by id. Defaults to None: both None.
    """

    def __init__(
        self,
        ids: np.ndarray,
        distances: np.ndarray,
        labels: np.ndarray,
        found: np.ndarray | None = None,
        records: Records | None = None,
    ):
        self.ids = ids
        self.distances = distances
        self.labels = labels
        self.found = ids >= 0 if found is None else found
        self._records = records

    def __len__(self) -> int:
        return len(self.ids)

    @overload
    def __getitem__(self, index: int) -> list[Lookup]: ...

    @overload
    def __getitem__(self, index: slice) -> "Lookups": ...

    def __getitem__(self, index: int | slice) -> "list[Lookup] | Lookups":
        if isinstance(index, slice):
            return Lookups(
                self.ids[index],
                self.distances[index],
                self.labels[index],
                self.found[index],
                self._records,
            )
        try:
            if isinstance(index, bool):
                raise TypeError
            index = operator.index(index)
        except TypeError:
            raise TypeError(
                "Lookups are indexed by an integer, for the neighbours of one query, "
                f"or by a slice. Received: {index!r}. For more use the arrays `ids`, "
                "`distances` and `labels`."
            ) from None
        found = self.found[index]
        ids = self.ids[index][found]
        embeddings: Any = [None] * len(ids)
        data: Sequence[Any] = embeddings
        if self._records is not None and len(ids):
            embeddings, data = self._records.fetch(ids)
        distances, labels = self.distances[index][found], self.labels[index][found]
        return ranked(distances, labels, embeddings, data)

    def __iter__(self) -> Iterator[list[Lookup]]:
        return (self[i] for i in range(len(self)))

    def __eq__(self, other: object) -> bool:
        if isinstance(other, str) or not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(
            mine == theirs for mine, theirs in zip(self, other, strict=True)
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        n_queries, k = self.ids.shape
        return f"Lookups(n_queries={n_queries}, k={k}, found={int(self.found.sum())})"


def _same(a: Any, b: Any) -> bool:
    """Equality of user data of any kind; NaN equals NaN, None only None."""
    if a is None or b is None:
        return a is b
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(_same(x, y) for x, y in zip(a, b, strict=True))
    a, b = np.asarray(a), np.asarray(b)
    if a.dtype.kind in "fc" and b.dtype.kind in "fc":
        return bool(np.array_equal(a, b, equal_nan=True))
    return bool(np.array_equal(a, b))
