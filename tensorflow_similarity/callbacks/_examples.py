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
    if x is None:
        raise ValueError(f"`{plural}` are missing. Received: None.")
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
        if _is_endless(x):
            raise ValueError(
                f"`{plural}` must be a data set that ends. Received one that repeats "
                "for ever: leave `repeat()` out, or `take(n)` batches of it."
            )
        return x, None
    x = as_arrays(x)
    n = len(keras.tree.flatten(x)[0])
    if not n:
        raise ValueError(f"`{plural}` is empty: there is nothing to judge.")
    return x, labels_of(y, n, name)


def _is_endless(x: Any) -> bool:
    """Whether a data set says that it never ends."""
    if hasattr(x, "cardinality"):
        return int(x.cardinality()) == -1
    try:
        return getattr(x, "num_batches", 0) is None
    except NotImplementedError:  # Keras raises it for a PyDataset without a length.
        return True


def as_arrays(x: Any) -> Any:
    """Examples as an array, or as several in a list or dict."""
    return keras.tree.map_structure(doors.as_array, _as_array_if_flat(x))


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
