"""Open sets: queries of which some belong to nothing in the index."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tensorflow_similarity._core import doors
from tensorflow_similarity.evaluators.class_codes import NO_CLASS, class_codes
from tensorflow_similarity.evaluators.lookup_arrays import as_lookups
from tensorflow_similarity.evaluators.open_set_results import NO_RANK, OpenSetResults
from tensorflow_similarity.types import Lookup, Lookups


def evaluate_open_set(
    lookups: Lookups | Sequence[Sequence[Lookup]],
    query_labels: Any,
    *,
    indexed_labels: Any = None,
    known: Any = None,
) -> OpenSetResults:
    """Open-set identification from the neighbours of queries.

    A query is known when the index has its class: when its label is one of
    `indexed_labels`, or when `known` says so. A query without a label is unknown. The
    rank of a class is its place among the classes of the neighbours, by the nearest
    item of each. Neighbours without a label are passed over, as if they were not there.

    Args:
        lookups: the neighbours of each query, from `lookup`, of a model or an index.
        query_labels: the true label of each query, n_queries integers or strings, None
            for one that has none.
        indexed_labels: labels of the indexed items, in any order and number.
        known: whether the index has the class of the query, n_queries booleans. One of
            `indexed_labels` and `known` must be given: neighbours alone do not tell.

    Returns:
        `OpenSetResults`: DIR at a FAR, OSCR, AUROC of known against unknown.

    Raises:
        ValueError: for labels of another number than queries, neither or both of
            `indexed_labels` and `known`, distances that are NaN, or no known or no
            unknown query.
        TypeError: for something that is not lookups; labels that are neither integers
            nor strings, or strings on one side and integers on the other; `known` that
            is not boolean.

    Example:
        >>> lookups = Lookups(
        ...     ids=np.array([[0], [1], [1]]),
        ...     distances=np.array([[0.1], [0.2], [0.7]]),
        ...     labels=np.array([[4], [5], [5]]),
        ... )
        >>> found = evaluate_open_set(lookups, [4, 5, 9], indexed_labels=[4, 5])
        >>> found.auroc, found.oscr_area, found.dir_at_far(1.0)
        (1.0, 1.0, 1.0)
    """
    distances, labels, found = _as_arrays(lookups)
    n_queries = len(distances)
    asked = doors.as_labels(query_labels, n_queries, "query_labels")
    if (indexed_labels is None) == (known is None):
        raise ValueError(
            "Give one of `indexed_labels`, the labels that the index has, and `known`, "
            "whether it has the class of each query. Received "
            f"{'neither' if known is None else 'both'}."
        )
    flat = labels.reshape(-1)
    names = ("labels of lookups", "query_labels")
    if known is None:
        if not np.ndim(indexed_labels):
            raise ValueError(
                "`indexed_labels` must be the labels of the index, several in a list "
                f"or an array. Received: {indexed_labels!r}."
            )
        indexed = doors.as_labels(indexed_labels, len(indexed_labels), "indexed_labels")
        (codes, query_codes, indexed_codes), _ = class_codes(
            flat, asked, indexed, names=(*names, "indexed_labels")
        )
        is_known = np.isin(query_codes, indexed_codes)
    else:
        (codes, query_codes), _ = class_codes(flat, asked, names=names)
        is_known = _as_flags(known, n_queries)
    is_known = is_known & (query_codes != NO_CLASS)
    if is_known.all() or not is_known.any():
        raise ValueError(
            "Open sets need known and unknown queries. Received: "
            f"{int(is_known.sum())} known and {int((~is_known).sum())} unknown."
        )
    codes = np.where(found, codes.reshape(labels.shape), NO_CLASS)
    distances = np.where(codes == NO_CLASS, np.inf, distances)
    right_distances, right_ranks = _right(codes, distances, query_codes)
    nearest = distances.min(axis=1)
    return OpenSetResults(
        nearest[is_known],
        nearest[~is_known],
        right_distances[is_known],
        right_ranks[is_known],
        labels.shape[1],
    )


def _right(
    codes: np.ndarray, distances: np.ndarray, query_codes: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Distance to the class of each query, and its rank among the classes found."""
    hits = (codes == query_codes[:, None]) & (codes != NO_CLASS)
    at = hits.argmax(axis=1)
    is_hit = hits.any(axis=1)
    new = codes != NO_CLASS
    # Columns are few, and one comparison of two of them is cheap.
    for j in range(1, codes.shape[1]):
        new[:, j] &= ~(codes[:, :j] == codes[:, j : j + 1]).any(axis=1)
    rows = np.arange(len(codes))
    ranks = np.cumsum(new, axis=1)[rows, at]
    return (
        np.where(is_hit, distances[rows, at], np.inf),
        np.where(is_hit, ranks, NO_RANK),
    )


def _as_arrays(
    lookups: Lookups | Sequence[Sequence[Lookup]],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distances, labels and what was found, each (n_queries, k), k at least 1."""
    if isinstance(lookups, Lookups):
        distances, given, found = lookups.distances, lookups.labels, lookups.found
    else:
        made = as_lookups(lookups)
        distances, given = made.distances, made.labels
        found = made.found & np.isfinite(distances)
    if not distances.size:
        raise ValueError(
            "`lookups` must hold at least one query with one neighbour. Received: "
            f"shape={distances.shape}."
        )
    distances = np.asarray(distances, np.float64)
    if np.isnan(distances).any():
        first = int(np.isnan(distances).any(axis=1).argmax())
        raise ValueError(
            "The distances in `lookups` must be numbers. Received NaN, first for query "
            f"{first}."
        )
    labels = doors.as_labels(np.ravel(given), given.size, "the labels in lookups")
    return distances, labels.reshape(given.shape), np.asarray(found, bool)


def _as_flags(known: Any, n_queries: int) -> np.ndarray:
    flags = doors.as_array(known)
    if flags.dtype != bool:
        raise TypeError(f"`known` must be booleans. Received: dtype={flags.dtype}.")
    if flags.shape != (n_queries,):
        raise ValueError(
            f"`known` must hold one boolean for each query, shape ({n_queries},). "
            f"Received: shape={flags.shape}."
        )
    return flags
