"""Classes as numbers, whatever the labels are."""

from collections.abc import Sequence

import numpy as np

from tensorflow_similarity._core import label_rows

NO_CLASS = -1


def class_codes(
    *labels: np.ndarray, names: Sequence[str] = ("labels", "query_labels")
) -> tuple[list[np.ndarray], np.ndarray]:
    """Numbers 0, 1, ... of the classes in each array, -1 where there is no label.

    Args:
        *labels: arrays from `doors.as_labels`; one class has one number in all.
        names: what the arrays are called, for the error.

    Returns:
        The numbers, int32 and as long as the labels; and the labels that they stand
        for, ascending.

    Raises:
        TypeError: for integers in one array and strings in another.
    """
    there = [~label_rows.missing(part) for part in labels]
    given = [part[known] for part, known in zip(labels, there, strict=True)]
    filled = [part for part in given if len(part)] or given[:1]
    kinds = {
        name: "strings" if part.dtype == object else "integers"
        for name, part in zip(names, given, strict=False)
        if len(part)
    }
    if len(set(kinds.values())) > 1:
        said = " and ".join(f"`{name}`" for name in kinds)
        came = ", ".join(f"{name} are {kind}" for name, kind in kinds.items())
        raise TypeError(f"{said} must be of one kind. Received: {came}.")
    classes, joined = np.unique(np.concatenate(filled), return_inverse=True)
    ends = np.cumsum([len(part) for part in given])
    codes = []
    for known, numbers in zip(there, np.split(joined, ends[:-1]), strict=True):
        codes.append(np.full(len(known), NO_CLASS, np.int32))
        codes[-1][known] = numbers
    return codes, classes
