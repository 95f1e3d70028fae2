"""Examples and labels that a callback is given, checked."""

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from tensorflow_similarity._core import doors
from tensorflow_similarity._core.embedding import is_stream


def examples(x: Any, y: Any, name: str) -> tuple[Any, np.ndarray | None]:
    """Examples as arrays, or a data set as it is; and checked labels."""
    plural = "queries" if name == "query" else "targets"
    if isinstance(x, Iterator):
        raise TypeError(
            f"`{plural}` must be arrays, a `tf.data.Dataset` or a `PyDataset`: they "
            "are embedded again and again, and a generator can be read only once."
        )
    if is_stream(x):
        if y is not None:
            raise ValueError(
                f"`{name}_labels` must be None where `{plural}` is a data set of "
                "(x, y): its labels come with it."
            )
        return x, None
    x = keras.tree.map_structure(doors.as_array, _as_array_if_flat(x))
    n = len(keras.tree.flatten(x)[0])
    if not n:
        raise ValueError(f"`{plural}` is empty: there is nothing to judge.")
    return x, labels_of(y, n, name)


def _as_array_if_flat(x: Any) -> Any:
    """A list of numbers or rows is one array, a list of arrays several inputs."""
    if isinstance(x, list | tuple) and not any(hasattr(part, "shape") for part in x):
        return doors.as_array(x)
    return list(x) if isinstance(x, tuple) else x


def labels_of(y: Any, n: int, name: str) -> np.ndarray:
    """Labels of n examples, checked.

    Raises:
        ValueError: for none, or another number.
    """
    if y is None:
        raise ValueError(
            f"`{name}_labels` are missing: give one label for each of the {n} "
            "examples, or a data set of (x, y)."
        )
    return doors.as_labels(y, n, f"{name}_labels")
