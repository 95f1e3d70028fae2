"""Lookups as arrays, whatever they came as."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tensorflow_similarity._core import doors
from tensorflow_similarity.types import NO_ID, NO_LABEL, Lookup, Lookups


def as_lookups(lookups: Any) -> Lookups:
    """`Lookups` as they are, or made of a list of lists of `Lookup`.

    Rows of unequal length are filled up with missing neighbours. What `Lookups` made
    here know of embeddings and user data is lost.

    Raises:
        TypeError: for anything else.
    """
    if isinstance(lookups, Lookups):
        return lookups
    rows = lookups if isinstance(lookups, Sequence) else None
    if rows is None or not all(
        isinstance(row, Sequence) and all(isinstance(one, Lookup) for one in row)
        for row in rows
    ):
        raise TypeError(
            "`lookups` must be `Lookups`, as `model.lookup(x)` answers, or a list of "
            f"lists of `Lookup`; for one query pass `[neighbors]`. Received: "
            f"{type(lookups).__name__}."
        )
    flat = [one for row in rows for one in row]
    lengths = np.array([len(row) for row in rows], np.int64)
    found = np.arange(lengths.max(initial=0)) < lengths[:, None]
    distances = np.full(found.shape, np.inf, np.float32)
    distances[found] = [one.distance for one in flat]
    columns = []
    for given, missing in (
        ([one.id for one in flat], NO_ID),
        ([one.label for one in flat], NO_LABEL),
    ):
        name = "lookups" if missing == NO_ID else "labels of lookups"
        values = doors.as_labels(given, len(flat), name)
        is_text = values.dtype == object
        column = np.full(found.shape, None if is_text else missing, values.dtype)
        column[found] = values
        columns.append(column)
    return Lookups(columns[0], distances, columns[1], found)


def only_where(lookups: Lookups, found: np.ndarray) -> Lookups:
    """The lookups with only these neighbours found, in their places."""
    no_id: Any = None if lookups.ids.dtype == object else NO_ID
    no_label: Any = None if lookups.labels.dtype == object else NO_LABEL
    return Lookups(
        np.where(found, lookups.ids, no_id),
        np.where(found, lookups.distances, np.inf).astype(lookups.distances.dtype),
        np.where(found, lookups.labels, no_label),
        found,
        lookups.records,
    )


def labels_and_distances(lookups: Any) -> tuple[np.ndarray, np.ndarray]:
    """Labels and distances of neighbours, (n_queries, k); no label and inf for none."""
    lookups = as_lookups(lookups)
    none: Any = None if lookups.labels.dtype == object else NO_LABEL
    labels = np.where(lookups.found, lookups.labels, none)
    return labels, np.where(lookups.found, lookups.distances, np.inf)
