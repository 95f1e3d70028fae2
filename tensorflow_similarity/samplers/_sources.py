"""Where examples come from: anything with `__getitem__` and a length, never copied."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from tensorflow_similarity.samplers._buffers import empty


def to_host(values: Any) -> Any:
    """A tensor or a pandas column as a NumPy array; anything else as it is.

    NumPy arrays, CPU tensors and pandas columns keep their memory.
    """
    if isinstance(values, np.ndarray):
        return values
    if hasattr(values, "to_numpy"):  # pandas: values[i] would ask its index
        return values.to_numpy()
    if hasattr(values, "detach"):  # torch
        return values.detach().cpu().numpy()
    if keras.ops.is_tensor(values) or hasattr(values, "numpy"):
        # Shares memory; `values.numpy()` and `convert_to_numpy` would copy.
        return np.asarray(values)
    return values


def as_source(x: Any) -> Any:
    """Checks that examples can be counted and fetched by number.

    Raises:
        TypeError: if `x` has no length or cannot be indexed.
    """
    source = to_host(x)
    if isinstance(source, str | dict) or not (
        hasattr(source, "__len__") and hasattr(source, "__getitem__")
    ):
        raise TypeError(
            "`x` must be an array, a list, or anything else that has a length and "
            f"gives example i as x[i]. Received: {type(x).__name__}."
        )
    return source


def gather(
    source: Any, rows: np.ndarray, load_example_fn: Callable[[Any], Any] | None
) -> Any:
    """Fetches examples and stacks them.

    Args:
        source: what `as_source` answers.
        rows: integer array, shape (n,).
        load_example_fn: makes an example of `source[row]`; None takes it as it is.

    Returns:
        array, shape (n, ...); for examples that are dictionaries or tuples of arrays
        one of arrays.
    """
    if load_example_fn is None and isinstance(source, np.ndarray):
        return _take(np.asarray(source), rows)
    examples = [to_host(source[row]) for row in rows.tolist()]
    if load_example_fn is not None:
        examples = [load_example_fn(example) for example in examples]
    if not examples:
        return np.empty((0,))
    if isinstance(examples[0], list):
        examples = [np.asarray(example) for example in examples]
    return keras.tree.map_structure(_stack, *examples)


def _take(source: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """`source[rows]` in memory that TensorFlow takes over without a copy."""
    if source.dtype.hasobject:
        return np.asarray(source[rows])
    taken = empty((len(rows), *source.shape[1:]), source.dtype)
    # The other modes would not change a row number either, but "raise" buffers.
    np.take(source, rows, axis=0, out=taken, mode="clip")
    return taken


def _stack(*examples: Any) -> np.ndarray:
    arrays = [np.asarray(to_host(example)) for example in examples]
    shapes = {array.shape for array in arrays}
    if len(shapes) > 1:
        raise ValueError(
            "The examples of a batch must have one shape. Received: "
            f"{sorted(shapes)[:5]}. Bring them to one shape in `load_example_fn`."
        )
    return np.stack(arrays)


def window(begin: int, size: int) -> slice:
    """The slice that `get_slice(begin, size)` takes; size -1 means to the end.

    Raises:
        ValueError: if `begin` is negative, or `size` is below -1.
    """
    if begin < 0 or size < -1:
        raise ValueError(
            "`begin` must be 0 or more and `size` -1 (all) or more. Received: "
            f"begin={begin}, size={size}."
        )
    return slice(begin, None if size == -1 else begin + size)
