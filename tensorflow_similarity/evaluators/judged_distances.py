"""Queries by their distance and whether what they were given is right."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tensorflow_similarity._core import doors
from tensorflow_similarity.evaluators.lookup_arrays import labels_and_distances
from tensorflow_similarity.types import Lookup, Lookups


def as_judged(distances: Any, matches: Any) -> tuple[np.ndarray, np.ndarray]:
    """Distances as float64 and matches as bool, shape (n,) each.

    Raises:
        ValueError: for other shapes, unequal lengths, nothing at all, NaN, or matches
            that are neither true nor false.
    """
    try:
        given = doors.as_array(distances).astype(np.float64)
    except (TypeError, ValueError):
        raise ValueError("`distances` must be numbers, shape (n,).") from None
    right = doors.as_array(matches)
    if given.ndim != 1 or right.shape != given.shape or not len(given):
        raise ValueError(
            "`distances` and `matches` must hold one value for each of n queries, "
            f"shape (n,). Received: distances of shape {given.shape}, matches of shape "
            f"{right.shape}."
        )
    if np.isnan(given).any():
        raise ValueError(
            "`distances` must not be NaN; inf says that a query has no neighbour. "
            f"Received NaN in {int(np.isnan(given).sum())} of {len(given)}."
        )
    if right.dtype.kind not in "biuf" or not ((right == 0) | (right == 1)).all():
        raise ValueError(
            f"`matches` must be true or false. Received: dtype={right.dtype}."
        )
    return given, right.astype(bool)


def lookup_arrays(
    lookups: "Lookups | Sequence[Sequence[Lookup]]",
) -> tuple[np.ndarray, np.ndarray]:
    """Labels and distances of lookups, shape (n_queries, k) each.

    Returns:
        labels: with `NO_LABEL` or None where there is none; distances: float64, inf
        where there is no neighbour.

    Raises:
        ValueError: if there is no query, or no neighbour at all.
        TypeError: for something other than lookups.
    """
    labels, distances = labels_and_distances(lookups)
    if not len(labels) or np.isinf(distances).all():
        raise ValueError(
            "`lookups` must hold the neighbours of one or more queries. Received: "
            f"{len(labels)} queries, and no neighbour."
        )
    return labels, distances.astype(np.float64)
