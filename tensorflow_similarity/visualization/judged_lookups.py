"""Which neighbours are right, and in which order queries are worth looking at."""

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from tensorflow_similarity._core import doors
from tensorflow_similarity.evaluators.lookup_arrays import labels_and_distances
from tensorflow_similarity.types import NO_LABEL
from tensorflow_similarity.visualization.class_names import class_name

ORDERS = ("worst", "confused", "threshold")


@dataclass(frozen=True, eq=False)
class JudgedLookups:
    """Neighbours of queries as arrays, each (n_queries, k), nearest first.

    A neighbour is neither right nor wrong where the query or it has no label.

    Args:
        distances: float64, inf where nothing was found.
        labels: objects, None without a label.
        query_labels: objects, shape (n_queries,), None without one.
    """

    distances: np.ndarray
    labels: np.ndarray
    query_labels: np.ndarray

    @cached_property
    def judged(self) -> np.ndarray:
        """Whether both labels are known."""
        has_label = _is_given(self.labels) & np.isfinite(self.distances)
        return has_label & _is_given(self.query_labels)[:, None]

    @cached_property
    def right(self) -> np.ndarray:
        """Neighbours of the query's class."""
        return self.judged & (self.labels == self.query_labels[:, None]).astype(bool)

    @cached_property
    def wrong(self) -> np.ndarray:
        """Neighbours of another class."""
        return self.judged & ~self.right


def judge(lookups: Any, labels: Any) -> JudgedLookups:
    """Lookups in either form, beside the labels of the queries.

    Raises:
        ValueError: for another number of labels than queries.
        TypeError: for something that is no lookups, or labels of another kind.
    """
    near, distances = labels_and_distances(lookups)
    asked = _plain(doors.as_labels(labels, len(near), "labels").tolist())
    found = _plain(near.reshape(-1).tolist())
    kinds = [
        {isinstance(x, str) for x in part if x is not None} for part in (asked, found)
    ]
    if all(kinds) and kinds[0] != kinds[1]:
        words = ["strings" if kind == {True} else "integers" for kind in kinds]
        raise TypeError(
            "`labels` must be of the kind that the index has. Received: labels are "
            f"{words[0]}, those of the neighbours are {words[1]}."
        )
    return JudgedLookups(
        np.asarray(distances, np.float64),
        _objects(found).reshape(near.shape),
        _objects(asked),
    )


def in_order(
    judged: JudgedLookups, sort: str | None, threshold: float | None, names: Any
) -> tuple[np.ndarray, list[str]]:
    """Queries in the order to look at them, and what to say of each.

    Args:
        judged: the neighbours.
        sort: one of `ORDERS`, or None: as they came.
        threshold: the distance that "threshold" goes by.
        names: names of the labels.

    Raises:
        ValueError: for an unknown order, or one that lacks labels or the threshold.
    """
    if sort is None:
        return np.arange(len(judged.distances)), [""] * len(judged.distances)
    if not isinstance(sort, str) or sort not in ORDERS:
        raise ValueError(f"`sort` must be one of {ORDERS} or None. Received: {sort!r}.")
    if sort == "threshold":
        if threshold is None:
            raise ValueError(
                "`sort='threshold'` needs `threshold`: a distance, or a calibration."
            )
        return _near(judged, threshold)
    if not judged.judged.any():
        raise ValueError(
            f"`sort={sort!r}` needs to know what is right: pass `labels` of the "
            "queries, and index items with labels."
        )
    return _worst(judged) if sort == "worst" else _confused(judged, names)


def _worst(judged: JudgedLookups) -> tuple[np.ndarray, list[str]]:
    """First queries whose right neighbours are farthest and wrong ones nearest."""
    right = np.where(judged.right, judged.distances, np.inf).min(axis=1)
    wrong = np.where(judged.wrong, judged.distances, np.inf).min(axis=1)
    known = np.flatnonzero(judged.judged.any(axis=1))
    # How much farther the nearest right one is. Without a right one: infinitely, then
    # by the nearest wrong one; without a wrong one, last, by the nearest right one.
    with np.errstate(invalid="ignore"):
        gap = right - wrong
    order = known[np.lexsort((wrong[known], -right[known], -gap[known]))]
    return order, [f"{_at('right', right[i])}, {_at('wrong', wrong[i])}" for i in order]


def _at(what: str, distance: float) -> str:
    if np.isinf(distance):
        return f"no {what} one found"
    return f"nearest {what} one at {distance:.4g}"


def _confused(judged: JudgedLookups, names: Any) -> tuple[np.ndarray, list[str]]:
    """Queries whose nearest neighbour is wrong, by how often that pair occurs."""
    if not judged.distances.shape[1]:
        return np.arange(0), []
    wrong = np.flatnonzero(judged.wrong[:, 0])
    pairs = [(judged.query_labels[i], judged.labels[i, 0]) for i in wrong]
    counts = Counter(pairs)
    # Pairs in the order of their first appearance decide among equally frequent ones.
    rank = {pair: place for place, (pair, _) in enumerate(counts.most_common())}
    ranks = np.array([rank[pair] for pair in pairs], np.int64)
    by_rank = np.lexsort((judged.distances[wrong, 0], ranks))
    captions = []
    for i in by_rank:
        true, taken = (class_name(label, names) for label in pairs[i])
        captions.append(f"{true} taken for {taken}, {counts[pairs[i]]:,} times")
    return wrong[by_rank], captions


def _near(judged: JudgedLookups, threshold: float) -> tuple[np.ndarray, list[str]]:
    """Queries whose nearest neighbour is nearest the threshold, either side."""
    if not judged.distances.shape[1]:
        return np.arange(0), []
    nearest = judged.distances[:, 0]
    found = np.flatnonzero(np.isfinite(nearest))
    order = found[np.argsort(np.abs(nearest[found] - threshold), kind="stable")]
    captions = []
    for i in order:
        side = "within" if nearest[i] <= threshold else "beyond"
        away = abs(nearest[i] - threshold)
        captions.append(f"{side} the threshold {threshold:.4g} by {away:.2g}")
    return order, captions


def _plain(labels: list[Any]) -> list[Any]:
    return [None if label == NO_LABEL else label for label in labels]


def _is_given(labels: np.ndarray) -> np.ndarray:
    given = (label is not None for label in labels.flat)
    return np.fromiter(given, bool, labels.size).reshape(labels.shape)


def _objects(labels: list[Any]) -> np.ndarray:
    array = np.empty(len(labels), object)
    array[:] = labels
    return array
