"""The contract of matchers: from the neighbours of a query to a label for it."""

import inspect
from abc import ABC, abstractmethod
from typing import Any, NamedTuple, Self

import numpy as np

from tensorflow_similarity._core import doors, label_rows
from tensorflow_similarity.matchers.counts import Counts, count


class Judged(NamedTuple):
    """What a matcher makes of each query, shape (n_queries,) each.

    Args:
        labels: the label that the query gets, `NO_LABEL` or None where it gets none.
        distances: float64, what a threshold is compared with; inf without a label.
        matches: bool, whether the label is the query's own.
    """

    labels: np.ndarray
    distances: np.ndarray
    matches: np.ndarray


class ClassificationMatch(ABC):
    """Derives one label and one distance for each query from its neighbours.

    A subclass writes `derive_match`. Against thresholds t a query then counts as

        tp: label right, distance <= t      fn: label right, distance > t
        fp: label wrong, distance <= t      tn: label wrong, distance > t

    so recall is relative to the queries that would get their own label. A query without
    a label of its own is of no indexed class: whatever it gets is wrong. A query
    without a neighbour is accepted by no threshold.

    Args:
        name: str, for messages.
        canonical_name: str, by which `make_classification_matcher` knows it.

    Example:

    >>> from tensorflow_similarity.matchers import MatchNearest
    >>> matcher = MatchNearest()
    >>> matcher.compile(distance_thresholds=[0.1, 0.5])
    >>> matcher.compute_count([1, 2, 3], [[1], [2], [1]], [[0.1], [0.3], [0.4]])
    >>> matcher.tp.tolist(), matcher.fp.tolist(), matcher.count
    ([1.0, 2.0], [0.0, 1.0], 3)
    """

    def __init__(self, name: str = "", canonical_name: str = ""):
        self.name = name
        self.canonical_name = canonical_name
        self.distance_thresholds = np.array([np.inf])
        self._counts: Counts | None = None

    def compile(self, distance_thresholds: Any = None) -> None:
        """Sets the thresholds that `compute_count` counts at.

        Args:
            distance_thresholds: numbers, in any order; they are sorted. Defaults to
                None: one that accepts every query with a neighbour.

        Raises:
            ValueError: for thresholds that are NaN or no flat sequence of numbers.
        """
        self._counts = None
        if distance_thresholds is None:
            self.distance_thresholds = np.array([np.inf])
            return
        self.distance_thresholds = np.sort(as_thresholds(distance_thresholds))

    @abstractmethod
    def derive_match(
        self, lookup_labels: np.ndarray, lookup_distances: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """A label and a distance for each query.

        Args:
            lookup_labels: shape (n_queries, k), as `Lookups.labels`.
            lookup_distances: float64, shape (n_queries, k), ascending; inf where there
                is no neighbour.

        Returns:
            labels and distances, shape (n_queries, 1) or (n_queries,) each; distance
            inf for a query that gets no label.
        """

    def match(
        self, lookup_labels: Any, lookup_distances: Any
    ) -> tuple[np.ndarray, np.ndarray]:
        """What `derive_match` says, checked, shape (n_queries,) each.

        Raises:
            ValueError: for labels and distances of unequal shapes, or NaN.
        """
        labels, distances = label_rows.as_rows(lookup_labels, lookup_distances)
        if not (distances[:, 1:] >= distances[:, :-1]).all():
            order = np.argsort(distances, axis=1, kind="stable")
            labels = np.take_along_axis(labels, order, axis=1)
            distances = np.take_along_axis(distances, order, axis=1)
        found = [doors.as_array(part) for part in self.derive_match(labels, distances)]
        shapes = [part.shape for part in found]
        n = len(labels)
        if any(shape not in ((n,), (n, 1)) for shape in shapes):
            raise ValueError(
                f"`derive_match` of {type(self).__name__} must return labels and "
                f"distances of shape ({n}, 1) or ({n},). Received: shapes {shapes[0]} "
                f"and {shapes[1]}."
            )
        derived = doors.as_labels(found[0].ravel(), n, "derived labels")
        nearest = found[1].ravel().astype(np.float64)
        # A label without a neighbour is none, and a neighbour without a label either.
        none = label_rows.missing(derived) | ~np.isfinite(nearest)
        labels = np.where(none, label_rows.nothing_like(derived), derived)
        return labels, np.where(none, np.inf, nearest)

    def judge(
        self, query_labels: Any, lookup_labels: Any, lookup_distances: Any
    ) -> Judged:
        """What each query gets, and whether it is its own label.

        Args:
            query_labels: n_queries integers or strings; None for a query of no class.
            lookup_labels: labels of its neighbours, shape (n_queries, k).
            lookup_distances: theirs, shape (n_queries, k).

        Raises:
            ValueError: for shapes that do not belong together, or NaN.
            TypeError: for labels that are neither integers nor strings, or strings on
                one side and integers on the other.
        """
        labels, distances = self.match(lookup_labels, lookup_distances)
        own = doors.as_labels(query_labels, len(labels), "query_labels")
        return Judged(labels, distances, label_rows.same(own, labels))

    def compute_count(
        self, query_labels: Any, lookup_labels: Any, lookup_distances: Any
    ) -> None:
        """Counts at the thresholds of `compile`; read them as `tp`, `fp`, `tn`, `fn`.

        Args: as those of `judge`.
        """
        _, distances, matches = self.judge(
            query_labels, lookup_labels, lookup_distances
        )
        self._counts = count(distances, matches, self.distance_thresholds)

    @property
    def tp(self) -> np.ndarray:
        """Accepted with their own label, float64, shape (n_thresholds,)."""
        return self._counted("tp").tp

    @property
    def fp(self) -> np.ndarray:
        """Accepted with another label, float64, shape (n_thresholds,)."""
        return self._counted("fp").fp

    @property
    def tn(self) -> np.ndarray:
        """Refused another label, float64, shape (n_thresholds,)."""
        return self._counted("tn").tn

    @property
    def fn(self) -> np.ndarray:
        """Refused their own label, float64, shape (n_thresholds,)."""
        return self._counted("fn").fn

    @property
    def count(self) -> int:
        """How many queries were counted."""
        return self._counted("count").total

    def _counted(self, name: str) -> Counts:
        if self._counts is None:
            raise AttributeError(
                f"`{name}` is not known before anything is counted. Call "
                "`compute_count(query_labels, lookup_labels, lookup_distances)` first."
            )
        return self._counts

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, as JSON."""
        return {"name": self.name, "canonical_name": self.canonical_name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """The matcher that `get_config` described; other keys are left out."""
        takes = inspect.signature(cls).parameters
        return cls(**{key: value for key, value in config.items() if key in takes})

    def __repr__(self) -> str:
        return f"{type(self).__name__}(name={self.name!r})"


def as_thresholds(thresholds: Any, name: str = "distance_thresholds") -> np.ndarray:
    """Thresholds as float64, shape (n,); a single number as n = 1.

    Raises:
        ValueError: if they are NaN, or no flat sequence of numbers.
    """
    try:
        array = np.atleast_1d(doors.as_array(thresholds)).astype(np.float64)
    except (TypeError, ValueError):
        array = np.empty((0, 0))
    if array.ndim != 1 or not len(array) or np.isnan(array).any():
        raise ValueError(
            f"`{name}` must be one or more numbers, none of them NaN. Received: "
            f"{name}={thresholds!r}."
        )
    return array
