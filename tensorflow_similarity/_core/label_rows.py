"""Labels of queries and of their neighbours: checked, compared, numbered."""

from typing import Any

import numpy as np

from tensorflow_similarity._core import doors
from tensorflow_similarity.types import NO_LABEL


def as_rows(lookup_labels: Any, lookup_distances: Any) -> tuple[np.ndarray, np.ndarray]:
    """Labels and distances of neighbours, both of shape (n_queries, k).

    Returns:
        labels: int64 with `NO_LABEL`, or an object array of strings and None;
        distances: float64, inf where there is no neighbour.

    Raises:
        ValueError: for other shapes, unequal ones, distances that are NaN or no
            numbers.
        TypeError: for labels that are neither integers nor strings.
    """
    given = doors.as_array(lookup_labels)
    try:
        distances = doors.as_array(lookup_distances).astype(np.float64)
    except (TypeError, ValueError):
        raise ValueError(
            "`lookup_distances` must be numbers, shape (n_queries, k). Received rows "
            "of unequal length, or something that is not a number."
        ) from None
    if given.ndim != 2 or given.shape != distances.shape or not given.shape[1]:
        raise ValueError(
            "`lookup_labels` and `lookup_distances` must both have shape (n_queries, "
            f"k) with k of at least 1. Received: lookup_labels of shape {given.shape}, "
            f"lookup_distances of shape {distances.shape}."
        )
    missing = np.isnan(distances)
    if missing.any():
        raise ValueError(
            "`lookup_distances` must not be NaN; inf says that there is no neighbour. "
            f"Received NaN in {int(missing.any(axis=1).sum())} of {len(distances)}."
        )
    flat = doors.as_labels(given.ravel(), given.size, "lookup_labels")
    return flat.reshape(given.shape), distances


def missing(labels: np.ndarray) -> np.ndarray:
    """Where an item has no label, in the shape of the labels."""
    if labels.dtype == object:
        return np.asarray(labels == None, bool)  # noqa: E711
    return labels == NO_LABEL


def same(labels: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Where two labels are equal; no label is equal to nothing.

    Raises:
        TypeError: for strings on one side and integers on the other.
    """
    check_one_kind(labels, others)
    return np.equal(labels, others).astype(bool) & ~missing(labels) & ~missing(others)


def check_one_kind(labels: np.ndarray, others: np.ndarray) -> None:
    """Raises TypeError if queries and neighbours have labels of two kinds."""
    if labels.dtype == others.dtype:
        return
    if missing(labels).all() or missing(others).all():
        return
    kinds = [
        "strings" if part.dtype == object else "integers" for part in (labels, others)
    ]
    raise TypeError(
        "Labels of queries and of neighbours must be of one kind. Received: those of "
        f"queries are {kinds[0]}, those of neighbours are {kinds[1]}."
    )


def codes(labels: np.ndarray) -> np.ndarray:
    """Class numbers from 0 in the shape of the labels, -1 without a label."""
    given = ~missing(labels)
    numbers = np.full(labels.shape, -1)
    if given.any():
        numbers[given] = np.unique(labels[given], return_inverse=True)[1]
    return numbers


def nothing_like(labels: np.ndarray) -> Any:
    """What stands for no label in an array of this kind."""
    return None if labels.dtype == object else NO_LABEL
