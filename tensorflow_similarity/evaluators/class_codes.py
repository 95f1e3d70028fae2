"""Classes as numbers."""

import numpy as np

from tensorflow_similarity.evaluators.lookup_arrays import without_label


def class_codes(
    labels: np.ndarray, others: np.ndarray, name: str = "query_labels"
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Numbers of the classes that two arrays of labels have, from 0, the same in both.

    Args:
        labels, others: what `doors.as_labels` answers.
        name: the argument that `others` came as.

    Returns:
        classes: the labels, ascending; codes of `labels` and codes of `others`, -1
        without a label.

    Raises:
        TypeError: for strings on one side and integers on the other.
    """
    absent = without_label(labels), without_label(others)
    given = [part[~gone] for part, gone in zip((labels, others), absent, strict=True)]
    kinds = {part.dtype == object for part in given if len(part)}
    if len(kinds) > 1:
        raise TypeError(
            f"`labels` and `{name}` must be of one kind: integers or strings. "
            "Received: one of each."
        )
    parts = [part for part in given if len(part)] or given[:1]
    classes, numbers = np.unique(np.concatenate(parts), return_inverse=True)
    codes = np.full(len(labels), -1), np.full(len(others), -1)
    codes[0][~absent[0]] = numbers[: len(given[0])]
    codes[1][~absent[1]] = numbers[len(given[0]) :]
    return classes, *codes
