"""Records that travel between rooms: dataclasses of arrays, and names for tensors."""

import operator
from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass, field, fields
from functools import cached_property
from itertools import repeat
from typing import Any, Protocol, overload

import numpy as np

__all__ = [
    "BoolTensor",
    "CalibrationResults",
    "FloatTensor",
    "IntTensor",
    "Lookup",
    "Lookups",
    "NO_ID",
    "NO_LABEL",
    "ProbabilityCurve",
    "Tensor",
]

Tensor = Any
"""A tensor of the active Keras backend. Keras has no types: docstrings have shapes."""

BoolTensor = Tensor
"""A tensor of true and false, in annotations."""

FloatTensor = Tensor
"""A tensor of floats, in annotations."""

IntTensor = Tensor
"""A tensor of integers, in annotations."""

# Queries whose neighbours are made objects together.
_MADE_AT_A_TIME = 64

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
        if not isinstance(other, Lookup) or len(kinds - {_Neighbour}) > 1:
            return NotImplemented
        return (
            self.rank == other.rank
            and self.distance == other.distance
            and self.label == other.label
            and _same(self.embedding, other.embedding)
            and _same(self.data, other.data)
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
            _plain(labels),
            details.embeddings,
            details.data,
            ids.tolist(),
            details.metadata,
        )
    )


def _plain(labels: np.ndarray) -> list[Any]:
    """Labels as Python's own, None where there is none."""
    plain = labels.tolist()
    if NO_LABEL in plain:
        plain = [None if label == NO_LABEL else label for label in plain]
    return plain


class Records(Protocol):
    """Where `Lookups` fetches what is made only when looked at."""

    def fetch(self, ids: np.ndarray) -> Details:
        """Embeddings, user data and metadata of the items with these ids."""
        ...


class _Source:
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


class _Neighbour(Lookup):
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
        source: _Source,
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
                _Neighbour,
                found.cumsum(axis=1)[found].tolist(),
                self.distances[start:end][found].tolist(),
                _plain(self.labels[start:end][found]),
                ids.tolist(),
                repeat(_Source(self._records, ids)),
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
        from tensorflow_similarity._core.lookup_table import lookup_table

        return lookup_table(self)


@dataclass(frozen=True, eq=False)
class ProbabilityCurve:
    """From a distance to the probability that the label is right, as plain numbers.

    Args:
        method: "isotonic" or "platt".
        parameters: arrays. Isotonic: "distances", ascending, and "probabilities", of
            equal length, joined by straight lines and constant beyond. Platt: "slope"
            and "intercept" of the log odds, shape () each.
    """

    method: str
    parameters: dict[str, np.ndarray]

    def __call__(self, distances: Any) -> np.ndarray:
        """Probabilities from 0 to 1, float64, in the shape of the distances."""
        given = np.asarray(distances, np.float64)
        if np.isnan(given).any():
            raise ValueError("`distances` must not be NaN.")
        if self.method == "isotonic":
            at = self.parameters["distances"]
            found = np.interp(given, at, self.parameters["probabilities"])
        else:
            with np.errstate(over="ignore"):
                odds = np.clip(given, -1e300, 1e300) * self.parameters["slope"]
                found = 1 / (1 + np.exp(-(odds + self.parameters["intercept"])))
        # No neighbour at all: nothing is the same.
        return np.where(np.isposinf(given), 0.0, found)


@dataclass(frozen=True, eq=False)
class CalibrationResults:
    """Distances up to which a neighbour is taken for the same, and how they were found.

    Args:
        cutpoints: by name, "optimal" among them: dicts of Python floats with
            "distance", "value" (that of the metric it was chosen by), each metric by
            its name, and "name".
        thresholds: float64 arrays of equal length: "distance", every distinct one,
            ascending; each metric there by its name; "value", the calibration metric.
        achieved: by name, what is known of a cutpoint or of a target that none reached:
            "reached", "metric", "value", "n" (queries that the value is a share of),
            "low" and "high" (where the value on "n_new" other queries of the kind lies
            with "confidence"), "supported" and "note". Defaults to {}.
        class_cutpoints: by name, the cutpoints of single labels: dicts from label to
            {"distance", "n", "own"}; labels that are not there have that of
            `cutpoints`. Defaults to {}.
        curve: from distance to probability. Defaults to None.
        settings: what `match` goes on with: "k", "matcher", "metric",
            "distance_rounding", "distance", "items"; plain types. Defaults to {}.
        objects: the "matcher" and the "metric" themselves, as they were given. They are
            not saved: `settings` says how to make them again. Defaults to {}.
    """

    cutpoints: dict[str, dict[str, Any]]
    thresholds: dict[str, np.ndarray]
    achieved: dict[str, dict[str, Any]] = field(default_factory=dict)
    class_cutpoints: dict[str, dict[Any, dict[str, Any]]] = field(default_factory=dict)
    curve: ProbabilityCurve | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    objects: dict[str, Any] = field(default_factory=dict)

    def cutpoint(self, name: str) -> dict[str, Any]:
        """The cutpoint of this name.

        Raises:
            ValueError: if there is none; the message says why, or lists the known ones.
        """
        if name in self.cutpoints:
            return self.cutpoints[name]
        note = self.achieved.get(name, {}).get("note")
        raise ValueError(
            f"There is no cutpoint {name!r}. "
            + (f"{note} " if note else "")
            + f"The known ones are {sorted(self.cutpoints)}."
        )

    def probability(self, distances: Any) -> np.ndarray:
        """Probability that a label found at these distances is right.

        It is that of queries like those of the calibration: with the same share of
        unknown classes among them.

        Args:
            distances: of any shape, in the unit of the index; inf has probability 0.

        Returns:
            float64, in the same shape.

        Raises:
            RuntimeError: if the calibration was made without `probability`.
        """
        if self.curve is None:
            raise RuntimeError(
                "This calibration has no probabilities. Calibrate with "
                "`probability='isotonic'` or `probability='platt'`."
            )
        return self.curve(distances)


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
