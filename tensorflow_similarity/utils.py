"""Small tools that existing programs call."""

import logging
from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any

import keras
import numpy as np

from tensorflow_similarity._core import label_rows
from tensorflow_similarity._core.optional import optional_import
from tensorflow_similarity.callbacks._tensorboard import write_scalars
from tensorflow_similarity.evaluators.calibrate_distances import rounded
from tensorflow_similarity.evaluators.lookup_arrays import labels_and_distances
from tensorflow_similarity.types import Lookup, Lookups

logger = logging.getLogger(__name__)

__all__ = [
    "is_tensor_or_variable",
    "tf_cap_memory",
    "unpack_lookup_distances",
    "unpack_lookup_labels",
    "unpack_results",
]

# Stands where a neighbour is missing or has no label: the largest int32.
_NO_LABEL = 0x7FFFFFFF


def tf_cap_memory() -> None:
    """Lets TensorFlow take GPU memory as it needs it, not all at once.

    Call it before anything is computed. On other backends it does nothing.

    Example:
        >>> tf_cap_memory()
    """
    if keras.backend.backend() != "tensorflow":
        return
    config = optional_import("tensorflow", purpose="Capping memory").config
    for device in config.list_physical_devices("GPU"):
        try:
            config.experimental.set_memory_growth(device, True)
        except RuntimeError as error:
            logger.warning(
                "The memory of %s is not capped, since TensorFlow already uses it "
                "(%s). Call `tf_cap_memory()` before anything is computed.",
                device.name,
                error,
            )


def is_tensor_or_variable(x: Any) -> bool:
    """Whether `x` is a tensor of the backend or a Keras variable.

    Example:
        >>> is_tensor_or_variable(keras.ops.ones(2)), is_tensor_or_variable([1, 1])
        (True, False)
    """
    return bool(keras.ops.is_tensor(x) or isinstance(x, keras.Variable))


def unpack_lookup_labels(
    lookups: Lookups | Sequence[Sequence[Lookup]], dtype: Any = "int64"
) -> np.ndarray:
    """The labels of neighbours, shape (n_queries, k).

    Args:
        lookups: `Lookups`, or a list of lists of `Lookup`. Shorter rows end in
            2147483647, for text in None; so does a neighbour without a label.
        dtype: of the result, by name or as the backend names it; "object" for text.

    Returns:
        A NumPy array.

    Raises:
        TypeError: for text as numbers, or something that is not lookups.
        ValueError: for labels that `dtype` cannot hold.

    Example:
        >>> rows = [[Lookup(1, 0.1, 5), Lookup(2, 0.2, 6)], [Lookup(1, 0.3, 7)]]
        >>> unpack_lookup_labels(rows, "int32").tolist()
        [[5, 6], [7, 2147483647]]
    """
    labels, _ = _unpacked(lookups)
    kind = _numpy_dtype(dtype)
    if labels.dtype == object:
        if kind.kind != "O":
            raise TypeError(
                "The labels are text. Take `dtype='object'` in `unpack_lookup_labels`. "
                f"Received: dtype={dtype!r}."
            )
        return labels
    filled = np.where(label_rows.missing(labels), _NO_LABEL, labels)
    made = filled.astype(kind)
    if (made != filled).any():
        raise ValueError(
            f"`dtype` must hold labels up to {filled.max()}. Received: dtype={dtype!r}."
        )
    return made


def unpack_lookup_distances(
    lookups: Lookups | Sequence[Sequence[Lookup]],
    dtype: Any = "float32",
    distance_rounding: int | None = None,
) -> np.ndarray:
    """The distances of neighbours, shape (n_queries, k).

    Args:
        lookups: `Lookups`, or a list of lists of `Lookup`. Shorter rows end in inf.
        dtype: of the result, by name or as the backend names it.
        distance_rounding: decimals, from 0 to 15. Defaults to None: not rounded.

    Returns:
        A NumPy array.

    Raises:
        TypeError: for something that is not lookups.
        ValueError: for decimals out of range.

    Example:
        >>> rows = [[Lookup(1, 0.12), Lookup(2, 0.25)], [Lookup(1, 0.5)]]
        >>> unpack_lookup_distances(rows, "float64", distance_rounding=1).tolist()
        [[0.1, 0.2], [0.5, inf]]
    """
    _, distances = _unpacked(lookups)
    return rounded(distances, distance_rounding).astype(_numpy_dtype(dtype))


def unpack_results(
    results: Mapping[str, Any],
    epoch: int,
    logs: MutableMapping[str, Any],
    tb_writer: Any = None,
    name_suffix: str = "",
) -> list[str]:
    """Puts metrics into the logs of an epoch, for callbacks of one's own.

    Args:
        results: numbers, or arrays of one number, by name.
        epoch: int, the step in TensorBoard.
        logs: gets each as a float, under its name and `name_suffix`.
        tb_writer: a TensorBoard writer that gets them too. Defaults to None.
        name_suffix: str, such as "_known_classes".

    Returns:
        A text such as "f1: 0.9000" for each.

    Raises:
        ValueError: for several numbers under one name.

    Example:
        >>> logs = {}
        >>> unpack_results({"f1": np.array([0.9])}, 0, logs, None, "_known")
        ['f1_known: 0.9000']
        >>> logs
        {'f1_known': 0.9}
    """
    values = {}
    for name, value in results.items():
        if np.size(value) != 1:
            raise ValueError(
                "`results` must hold one number by each name, as at one threshold. "
                f"Received: {name!r} with shape {np.shape(value)}."
            )
        values[f"{name}{name_suffix}"] = float(np.ravel(value)[0])
    logs.update(values)
    if tb_writer is not None:
        write_scalars(tb_writer, values, epoch)
    return [f"{name}: {value:.4f}" for name, value in values.items()]


def _unpacked(lookups: Any) -> tuple[np.ndarray, np.ndarray]:
    """Labels and distances, with a line in the log where rows were filled up."""
    labels, distances = labels_and_distances(lookups)
    n_short = int(np.isinf(distances).any(axis=1).sum())
    if n_short:
        logger.warning(
            "%d of %d queries have fewer than %d neighbours; their rows are filled up.",
            n_short,
            len(distances),
            distances.shape[1],
        )
    return labels, distances


def _numpy_dtype(dtype: Any) -> np.dtype:
    try:
        return np.dtype(dtype)
    except TypeError:  # those of TensorFlow and torch
        return np.dtype(keras.backend.standardize_dtype(dtype))
