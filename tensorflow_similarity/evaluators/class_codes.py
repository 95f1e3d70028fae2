"""Classes as numbers, whatever the labels are."""

import numpy as np

from tensorflow_similarity.types import NO_LABEL

NO_CLASS = -1


def class_codes(*labels: np.ndarray) -> tuple[list[np.ndarray], np.ndarray]:
    """Numbers 0, 1, ... of the classes in each array, -1 where there is no label.

    Args:
        *labels: arrays from `doors.as_labels`; one class has one number in all.

    Returns:
        The numbers, int32 and as long as the labels; and the labels that they stand
        for, ascending.

    Raises:
        TypeError: for integers in one array and strings in another.
    """
    given = [part[~_missing(part)] for part in labels]
    kinds = {part.dtype == object for part in given if len(part)}
    if len(kinds) > 1:
        raise TypeError(
            "The labels on both sides must be of one kind. Received: integers on one "
            "side and strings on the other."
        )
    filled = [part for part in given if len(part)] or given[:1]
    classes, joined = np.unique(np.concatenate(filled), return_inverse=True)
    codes, start = [], 0
    for part in labels:
        there = ~_missing(part)
        end = start + int(there.sum())
        numbers = np.full(len(part), NO_CLASS, np.int32)
        numbers[there] = joined[start:end]
        codes.append(numbers)
        start = end
    return codes, classes


def _missing(labels: np.ndarray) -> np.ndarray:
    if labels.dtype == object:
        return np.array([label is None for label in labels], bool)
    return labels == NO_LABEL
