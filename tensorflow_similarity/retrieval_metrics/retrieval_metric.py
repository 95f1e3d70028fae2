"""The contract of metrics of neighbours that were looked up."""

import math
from abc import ABC, abstractmethod
from typing import Any, Self

import numpy as np

from tensorflow_similarity._core import doors
from tensorflow_similarity.retrieval_metrics.utils import as_lookup_labels


class RetrievalMetric(ABC):
    """How well the neighbours of labelled queries have the queries' labels.

    A subclass writes `per_query`, a value in [0, 1] for each query, from checked
    arrays; this class checks them, drops the first column and what lies beyond the
    threshold, and takes the mean.

    Args:
        name: str, what `name` begins with. Defaults to "": that of the class.
        canonical_name: str, what kind of metric it is. Defaults to "": that of the
            class.
        k: int of at least 1, how many neighbours count. Defaults to 5.
        distance_threshold: float. A neighbour further away counts as not retrieved: it
            is no match, and still takes its place. Defaults to infinity.
        average: "micro", the mean over queries, or "macro", the mean over classes of
            the mean over their queries, in which a rare class counts as much as a
            frequent one. Defaults to "micro".
        drop_closest_lookup: True leaves out the first column, where the query itself
            stands if it was indexed; the k columns after it count, so look up k + 1.
            Of exactly k columns the k - 1 others count. Defaults to False.

    Raises:
        ValueError: for `k` below 1, a threshold that is NaN, or an unknown `average`.

    Example:

    >>> from tensorflow_similarity.retrieval_metrics import RecallAtK
    >>> metric = RecallAtK(k=2)
    >>> metric.name
    'recall@2'
    >>> float(
    ...     metric.compute(
    ...         query_labels=[1, 2],
    ...         lookup_labels=[[0, 1, 1], [3, 3, 2]],
    ...         lookup_distances=[[0.1, 0.2, 0.3], [0.1, 0.2, 0.3]],
    ...         match_mask=[[False, True, True], [False, False, True]],
    ...     )
    ... )
    0.5
    """

    default_name = "metric"
    default_canonical_name = "metric@k"

    def __init__(
        self,
        name: str = "",
        canonical_name: str = "",
        k: int = 5,
        distance_threshold: float = math.inf,
        average: str = "micro",
        drop_closest_lookup: bool = False,
    ):
        if average not in ("micro", "macro"):
            raise ValueError(
                f"`average` must be 'micro' or 'macro'. Received: average={average!r}."
            )
        number = isinstance(distance_threshold, float | int | np.number)
        if not number or math.isnan(distance_threshold):
            raise ValueError(
                "`distance_threshold` must be a number, infinity for none. Received: "
                f"distance_threshold={distance_threshold!r}."
            )
        self._name = name or self.default_name
        self.canonical_name = canonical_name or self.default_canonical_name
        self.k = doors.as_k(k)
        self.distance_threshold = float(distance_threshold)
        self.average = average
        self.drop_closest_lookup = bool(drop_closest_lookup)

    @property
    def name(self) -> str:
        """The key of results: the bare name, k, and the threshold if there is one."""
        if math.isinf(self.distance_threshold):
            return f"{self._name}@{self.k}"
        return f"{self._name}@{self.k} : distance_threshold@{self.distance_threshold}"

    def n_needed(self) -> int:
        """How many neighbours of each query to look up."""
        return self.k

    def __repr__(self) -> str:
        return f"{self.canonical_name} : {self.name}"

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, as JSON; the name without its ending."""
        return {
            "name": self._name,
            "canonical_name": self.canonical_name,
            "k": self.k,
            "distance_threshold": self.distance_threshold,
            "average": self.average,
            "drop_closest_lookup": self.drop_closest_lookup,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """The metric that `get_config` described."""
        return cls(**config)

    def compute(
        self,
        *,
        query_labels: Any,
        lookup_labels: Any,
        lookup_distances: Any,
        match_mask: Any,
    ) -> np.float64:
        """The mean of the metric over queries, or over classes.

        Args:
            query_labels: integers or strings, shape (n_queries,) or (n_queries, 1).
            lookup_labels: labels of the neighbours, nearest first, shape
                (n_queries, n_columns).
            lookup_distances: their distances, same shape; infinity where none was
                found.
            match_mask: whether a neighbour is relevant, same shape, from
                `utils.compute_match_mask`. `NDCG` also takes numbers: grades.

        Returns:
            A NumPy float64.

        Raises:
            ValueError: for fewer columns than k, arrays of unequal shapes, or no query.
        """
        labels, grades = self._checked(
            query_labels, lookup_labels, lookup_distances, match_mask
        )
        values = self.per_query(grades, labels)
        if self.average == "micro":
            return np.float64(values.mean())
        codes, n_queries = _classes(labels)
        return np.float64((np.bincount(codes, values) / n_queries).mean())

    @abstractmethod
    def per_query(self, grades: np.ndarray, query_labels: np.ndarray) -> np.ndarray:
        """A value for each query.

        Args:
            grades: float64 of at least 0, shape (n_queries, n_columns), nearest first:
                1 for a match, 0 for none and beyond the threshold; without the column
                that was dropped. All the columns that were given, not k of them.
            query_labels: shape (n_queries,).

        Returns:
            float64, shape (n_queries,).
        """

    def _checked(
        self, query_labels: Any, lookup_labels: Any, distances: Any, mask: Any
    ) -> tuple[np.ndarray, np.ndarray]:
        mask = doors.as_array(mask)
        distances = doors.as_array(distances)
        lookups = as_lookup_labels(lookup_labels)
        if mask.ndim != 2 or mask.dtype.kind not in "biuf":
            raise ValueError(
                "`match_mask` must be of shape (n_queries, n_columns). Received: "
                f"shape={mask.shape}, dtype={mask.dtype}."
            )
        if lookups.shape != mask.shape or distances.shape != mask.shape:
            raise ValueError(
                "`lookup_labels`, `lookup_distances` and `match_mask` must have the "
                f"same shape. Received: {lookups.shape}, {distances.shape} and "
                f"{mask.shape}."
            )
        if not len(mask):
            raise ValueError("There must be at least one query. Received none.")
        if mask.shape[1] < self.k:
            raise ValueError(
                f"{self.name} needs at least k={self.k} neighbours of each query. "
                f"Received: {mask.shape[1]} columns. Look up more, or lower `k`."
            )
        if self.drop_closest_lookup and mask.shape[1] == 1:
            raise ValueError(
                "`drop_closest_lookup=True` leaves nothing of one column. Look up "
                f"k + 1 = {self.k + 1} neighbours."
            )
        if distances.dtype.kind not in "biuf" or np.isnan(distances).any():
            raise ValueError(
                "`lookup_distances` must be numbers, infinity where no neighbour was "
                f"found. Received: dtype={distances.dtype}, or NaN among them."
            )
        labels = doors.as_labels(query_labels, len(mask), "query_labels")
        grades = mask.astype(np.float64)
        if not (grades >= 0).all() or not np.isfinite(grades).all():
            raise ValueError(
                "`match_mask` must be booleans, or finite grades of at least 0. "
                f"Received: values from {grades.min()} to {grades.max()}."
            )
        grades[~(distances <= self.distance_threshold)] = 0.0
        return labels, grades[:, 1:] if self.drop_closest_lookup else grades

    def _check_binary(self, grades: np.ndarray) -> None:
        if ((grades != 0) & (grades != 1)).any():
            raise ValueError(
                f"{self.name} takes matches, true or false. Received grades from "
                f"{grades.min()} to {grades.max()}. `NDCG` takes those."
            )


def _classes(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Class numbers of the queries and queries a class; None is a class of its own."""
    if labels.dtype == object:
        labels = np.array(["0" if label is None else "1" + label for label in labels])
    _, codes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    return codes, counts
