"""A neighbour as an object, an item, and what is known of items beyond id and label."""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, Protocol

import numpy as np

NO_ID = -1
"""Stands in `Lookups.ids` where no neighbour was found."""

NO_LABEL = int(np.iinfo(np.int64).min)
"""Stands in integer label arrays where an item has no label."""


@dataclass(eq=False, slots=True)
class Lookup:
    """One neighbour of one query.

    Two lookups are equal when rank, distance, label, embedding and data are: ranks and
    distances exactly, arrays element by element with NaN equal to NaN.

    Args:
        rank: int from 1, the nearest first.
        distance: float, in the unit of the index's distance.
        label: int or string, None if the item was indexed without one.
        embedding: float32 array, shape (dim,), as it was indexed.
        data: what the user gave as `data` for this item, None if nothing.
        id: the item's id: the user's own, or the number that the index gave it.
        metadata: dict, what the user gave as `metadata`, None if the index has none.
    """

    rank: int
    distance: float
    label: int | str | None = None
    embedding: np.ndarray | None = None
    data: Any = None
    id: int | str | None = None
    metadata: dict[str, Any] | None = None

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        kinds = {type(self), type(other)}
        if not isinstance(other, Lookup) or len(kinds - {Neighbour}) > 1:
            return NotImplemented
        return (
            self.rank == other.rank
            and self.distance == other.distance
            and self.label == other.label
            and equal_data(self.embedding, other.embedding)
            and equal_data(self.data, other.data)
        )


@dataclass(eq=False)
class Item:
    """One item of an index.

    Args:
        id: the user's own id, or the number that the index gave it.
        embedding: float32 array, shape (dim,).
        label: int or string, None without one.
        data: what the user gave as `data`, None if nothing.
        metadata: dict, what the user gave as `metadata`, None if the index has none.
    """

    id: int | str
    embedding: np.ndarray
    label: int | str | None = None
    data: Any = None
    metadata: dict[str, Any] | None = None


@dataclass(frozen=True, eq=False)
class Details:
    """What is known of some items beyond id and label, each of length n.

    Args:
        embeddings: float32, shape (n, dim).
        data: user data.
        metadata: dicts, None if the index has no metadata.
    """

    embeddings: Sequence[Any] | np.ndarray
    data: Sequence[Any]
    metadata: Sequence[dict[str, Any] | None]


def ranked(
    ids: np.ndarray, distances: np.ndarray, labels: np.ndarray, details: Details
) -> list[Lookup]:
    """The neighbours of one query as objects, from what is known of each, (n,)."""
    return list(
        map(
            Lookup,
            range(1, len(ids) + 1),
            distances.tolist(),
            plain(labels),
            details.embeddings,
            details.data,
            ids.tolist(),
            details.metadata,
        )
    )


def plain(labels: np.ndarray) -> list[Any]:
    """Labels as Python's own, None where there is none."""
    values = labels.tolist()
    if NO_LABEL in values:
        values = [None if label == NO_LABEL else label for label in values]
    return values


class Records(Protocol):
    """Where `Lookups` fetches what is made only when looked at."""

    def fetch(self, ids: np.ndarray) -> Details:
        """Embeddings, user data and metadata of the items with these ids."""
        ...


class Source:
    """Details of neighbours made objects together: fetched for all of them at once.

    Args:
        records: where they come from; None where nothing further is known.
        ids: of the neighbours.
    """

    def __init__(self, records: Records | None, ids: np.ndarray):
        self._records = records
        self._ids = ids

    @cached_property
    def details(self) -> Details:
        if self._records is None:
            nothing = [None] * len(self._ids)
            return Details(nothing, nothing, nothing)
        return self._records.fetch(self._ids)


class Neighbour(Lookup):
    """A `Lookup` that fetches embedding, user data and metadata when they are asked.

    Most who go through many neighbours look at labels and distances only, and objects
    with three fields less to fill take half the time.
    """

    __slots__ = ("_place", "_source")

    def __init__(
        self,
        rank: int,
        distance: float,
        label: int | str | None,
        id: int | str | None,
        source: Source,
        place: int,
    ):
        self.rank = rank
        self.distance = distance
        self.label = label
        self.id = id
        self._source = source
        self._place = place

    def __getattr__(self, name: str) -> Any:
        # Python asks here only for what has not been set.
        if name not in ("embedding", "data", "metadata"):
            raise AttributeError(f"A `Lookup` has no attribute {name!r}.")
        details, i = self._source.details, self._place
        self.embedding = details.embeddings[i]
        self.data = details.data[i]
        self.metadata = details.metadata[i]
        return getattr(self, name)

    def __reduce__(self) -> tuple[Any, ...]:
        # A copy, or what goes to another process, is plain: no index goes with it.
        return Lookup, tuple(getattr(self, one.name) for one in fields(Lookup))

    def __repr__(self) -> str:
        return repr(copy(self))


def equal_data(a: Any, b: Any) -> bool:
    """Equality of user data of any kind; NaN equals NaN, None only None."""
    if a is None or b is None:
        return a is b
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(equal_data(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(
            equal_data(x, y) for x, y in zip(a, b, strict=True)
        )
    a, b = np.asarray(a), np.asarray(b)
    if a.dtype.kind in "fc" and b.dtype.kind in "fc":
        return bool(np.array_equal(a, b, equal_nan=True))
    return bool(np.array_equal(a, b))
