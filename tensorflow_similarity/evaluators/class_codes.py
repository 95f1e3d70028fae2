"""Classes as numbers, whatever the labels are."""

import numpy as np

from tensorflow_similarity._core import label_rows

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
    there = [~label_rows.missing(part) for part in labels]
    given = [part[known] for part, known in zip(labels, there, strict=True)]
    filled = [part for part in given if len(part)] or given[:1]
    if len({part.dtype == object for part in filled}) > 1:
        raise TypeError(
            "The labels on both sides must be of one kind. Received: integers on one "
            "side and strings on the other."
        )
    classes, joined = np.unique(np.concatenate(filled), return_inverse=True)
    ends = np.cumsum([len(part) for part in given])
    codes = []
    for known, numbers in zip(there, np.split(joined, ends[:-1]), strict=True):
        codes.append(np.full(len(known), NO_CLASS, np.int32))
        codes[-1][known] = numbers
    return codes, classes
