"""Which neighbours have the label of their query."""

from typing import Any

import numpy as np

from tensorflow_similarity._core import doors
from tensorflow_similarity.types import NO_LABEL


def compute_match_mask(query_labels: Any, lookup_labels: Any) -> np.ndarray:
    """Whether each neighbour has the label of its query.

    An item without a label (None, `NO_LABEL`) matches nothing, another such item
    neither; the label -1 is a class like any other.

    Args:
        query_labels: integers or strings, shape (n_queries,) or (n_queries, 1).
        lookup_labels: labels of the neighbours, shape (n_queries, k).

    Returns:
        bool, shape (n_queries, k).

    Raises:
        ValueError: for another number of queries than rows.
        TypeError: for labels that are neither integers nor strings, or strings on one
            side and integers on the other.

    Example:
        >>> compute_match_mask([1, 2], [[1, 2, 1], [1, 2, 1]]).tolist()
        [[True, False, True], [False, True, False]]
    """
    lookups = as_lookup_labels(lookup_labels)
    queries = doors.as_labels(query_labels, len(lookups), "query_labels")
    given = [labelled(queries), labelled(lookups)]
    kinds = [labels.dtype == object for labels in (queries, lookups)]
    if given[0].any() and given[1].any() and kinds[0] != kinds[1]:
        names = ["strings" if is_text else "integers" for is_text in kinds]
        raise TypeError(
            "`query_labels` and `lookup_labels` must be of one kind. Received: "
            f"query_labels are {names[0]}, lookup_labels are {names[1]}."
        )
    same: np.ndarray = np.asarray(queries[:, None] == lookups, bool)
    return same & given[0][:, None] & given[1]


def as_lookup_labels(lookup_labels: Any) -> np.ndarray:
    """Labels of neighbours, shape (n_queries, k): int64, or objects."""
    if isinstance(lookup_labels, list | tuple):
        rows = [
            list(row) if isinstance(row, list | tuple) else doors.as_array(row).tolist()
            for row in lookup_labels
        ]
        widths = {len(row) if isinstance(row, list) else -1 for row in rows}
        if len(widths) > 1 or -1 in widths:
            raise ValueError(
                "`lookup_labels` must have shape (n_queries, k). Received: rows of "
                "unequal length, or no rows."
            )
        shape: tuple[int, ...] = (len(rows), max(widths, default=0))
        flat: Any = [label for row in rows for label in row]
    else:
        array = doors.as_array(lookup_labels)
        shape, flat = array.shape, array.ravel()
        if len(shape) != 2:
            raise ValueError(
                "`lookup_labels` must have shape (n_queries, k). Received: "
                f"shape={shape}."
            )
    labels = doors.as_labels(flat, shape[0] * shape[1], "lookup_labels")
    return labels.reshape(shape)


def labelled(labels: np.ndarray) -> np.ndarray:
    """Whether each item has a label, shape of `labels`."""
    if labels.dtype == object:
        return np.asarray(labels != None, bool)  # noqa: E711  (element by element)
    return np.asarray(labels != NO_LABEL, bool)
