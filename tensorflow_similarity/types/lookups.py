"""The answer to a batch of queries."""

import operator
from collections.abc import Iterator, Sequence
from itertools import repeat
from typing import overload

import numpy as np

from tensorflow_similarity.types.lookup import (
    Lookup,
    Neighbour,
    Records,
    Source,
    plain,
)

# Queries whose neighbours are made objects together.
_MADE_AT_A_TIME = 64


class Lookups(Sequence[list[Lookup]]):
    """The answer to a batch of queries: arrays, read as a list of lists of `Lookup`.

    `lookups[i][j]` is the neighbour of rank j + 1 of query i. Its object, its
    embedding and its user data are made when they are looked at, from the state that
    the index had at the time of the lookup, whatever has happened to it since.
    `lookups[2:5]` is a `Lookups` of three queries.

    Args:
        ids: shape (n_queries, k): the user's own ids, int64 or strings as objects, or
            the numbers that the index gave, int64; -1 or None where not found.
        distances: float32, shape (n_queries, k), ascending; inf where not found.
        labels: shape (n_queries, k): int64 with `NO_LABEL` for items without one, or
            an object array of strings and None.
        found: bool, shape (n_queries, k). Defaults to where `distances` is finite.
        records: gives embeddings, user data and metadata by id. Defaults to None.
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
        self.found = np.isfinite(distances) if found is None else found
        self._records = records

    @property
    def records(self) -> Records | None:
        """Where embeddings and user data come from, for lookups made of these."""
        return self._records

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
        if not -len(self) <= index < len(self):
            raise IndexError(f"There are {len(self)} queries. Received: {index}.")
        index %= len(self)
        return self._made(index, index + 1)[0]

    def __iter__(self) -> Iterator[list[Lookup]]:
        # Made some at a time: looking up what is known of each item costs most.
        for start in range(0, len(self), _MADE_AT_A_TIME):
            yield from self._made(start, start + _MADE_AT_A_TIME)

    def _made(self, start: int, end: int) -> list[list[Lookup]]:
        """The neighbours of queries [start, end) as objects."""
        found = self.found[start:end]
        ids = self.ids[start:end][found]
        made: list[Lookup] = list(
            map(
                Neighbour,
                found.cumsum(axis=1)[found].tolist(),
                self.distances[start:end][found].tolist(),
                plain(self.labels[start:end][found]),
                ids.tolist(),
                repeat(Source(self._records, ids)),
                range(len(ids)),
            )
        )
        stops = found.sum(axis=1).cumsum().tolist()
        return [made[a:b] for a, b in zip([0, *stops], stops, strict=False)]

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

    def _repr_html_(self) -> str:
        """A table of the first queries, for notebooks."""
        from tensorflow_similarity.types.lookup_table import lookup_table

        return lookup_table(self)
