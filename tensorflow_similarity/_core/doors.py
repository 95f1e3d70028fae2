"""Checks at the door: what comes from a user is made plain arrays, or refused."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np

from tensorflow_similarity.types import NO_LABEL

# Sums of 10,000 squares of larger components leave float32.
LARGEST_COMPONENT = 1e16
_LARGEST_SQUARE = LARGEST_COMPONENT**2

Member = TypeVar("Member")


def as_array(x: Any) -> np.ndarray:
    """`x` as a NumPy array; tensors of any Keras backend included."""
    if isinstance(x, np.ndarray):
        return x
    if hasattr(x, "__array__") and not hasattr(x, "detach"):
        return np.asarray(x)
    if hasattr(x, "detach"):  # torch refuses `__array__` where gradients are kept
        x = x.detach().cpu()
        try:
            return np.asarray(x)
        except TypeError:  # and for bfloat16, which NumPy does not know
            return np.asarray(x.float())
    return np.asarray(x)


def as_embeddings(x: Any, dim: int | None, name: str = "embeddings") -> np.ndarray:
    """Embeddings as contiguous float32, shape (n, dim).

    Raises:
        ValueError: for another rank or width, ragged rows, non-numbers, or values
            that are NaN, infinite, or beyond 1e16.
    """
    # The plain case in one sum: a single lookup is worth a dozen small NumPy calls.
    if type(x) is np.ndarray and x.dtype == np.float32 and x.flags.c_contiguous:
        if x.ndim == 2 and x.shape[1] == dim and np.vdot(x, x) <= _LARGEST_SQUARE:
            return x
    expected = f"(n, {dim})" if dim else "(n, dim)"
    try:
        array = as_array(x)
        if array.dtype == object:
            raise ValueError
    except ValueError:
        raise ValueError(
            f"`{name}` must be an array of numbers of shape {expected}. Received rows "
            "of unequal length, or something that is not a number."
        ) from None
    if array.dtype.kind not in "fiub" and "float" not in array.dtype.name:
        raise ValueError(
            f"`{name}` must be numbers, shape {expected}. Received: "
            f"dtype={array.dtype}."
        )
    if array.ndim != 2 or (dim and array.shape[1] != dim) or array.shape[1] == 0:
        raise ValueError(
            f"`{name}` must have shape {expected}. Received: shape={array.shape}."
        )
    with np.errstate(over="ignore"):
        array = np.ascontiguousarray(array, np.float32)
    # NaN fails this comparison too.
    if array.size and not max(array.max(), -array.min()) <= LARGEST_COMPONENT:
        bad = ~(np.abs(array) <= LARGEST_COMPONENT).all(axis=1)
        raise ValueError(
            f"`{name}` must be finite numbers of at most {LARGEST_COMPONENT:g}. "
            f"Received NaN, infinity or a larger number in {int(bad.sum())} of "
            f"{len(array)} rows, first in row {int(bad.argmax())}."
        )
    return array


def as_embedding(x: Any, dim: int | None, name: str = "embedding") -> np.ndarray:
    """One embedding, shape (dim,), as contiguous float32, shape (1, dim).

    Raises:
        ValueError: for another shape, non-numbers, NaN or infinity.
    """
    try:
        array = as_array(x)
    except ValueError:
        array = np.empty((), object)
    if array.ndim != 1 or (dim and len(array) != dim):
        raise ValueError(
            f"`{name}` must be one embedding of shape ({dim or 'dim'},). Received: "
            + ("nested sequences." if array.dtype == object else f"{array.shape}.")
        )
    return as_embeddings(array[None], dim, name)


def as_ids(ids: Any, name: str = "ids") -> np.ndarray:
    """Ids of items as int64, shape (n,); a single one as n = 1.

    Raises:
        TypeError: for anything but integers of 64 bits.
    """
    array = np.atleast_1d(as_array(ids))
    if not array.size:
        return np.empty(0, np.int64)
    whole = array.astype(np.int64) if array.dtype.kind in "iu" else None
    if whole is None or array.ndim != 1 or (whole != array).any():
        raise TypeError(
            f"`{name}` must be integers of 64 bits, shape (n,). Received: "
            f"dtype={array.dtype}, shape={array.shape}."
        )
    return whole


def as_labels(y: Any, n: int, name: str = "labels") -> np.ndarray:
    """Labels of n items: int64, shape (n,), or an object array of strings and None.

    `None` stands for n items without a label. Integers may come as floats.

    Raises:
        ValueError: for another number of labels or a shape other than (n,) or (n, 1).
        TypeError: for labels that are neither integers nor strings.
    """
    if y is None:
        return np.full(n, NO_LABEL)
    array = _sequence_as_array(y, name)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1 or len(array) != n:
        raise ValueError(
            f"`{name}` must hold one label for each item, shape ({n},) or ({n}, 1). "
            f"Received: shape={array.shape}."
        )
    if array.dtype.kind in "US":
        return np.array([_text(label) for label in array.tolist()], object)
    if array.dtype == object:
        return _from_objects(array, name)
    if array.dtype.kind not in "iubf":
        raise _bad_labels(name, f"dtype={array.dtype}")
    with np.errstate(invalid="ignore"):
        labels = array.astype(np.int64)
    if not np.array_equal(labels, array):
        raise _bad_labels(name, "numbers that are not integers of 64 bits")
    return labels


def as_k(k: Any) -> int:
    """`k` as an int of at least 1."""
    if isinstance(k, bool | np.bool_) or not isinstance(k, int | np.integer) or k < 1:
        raise ValueError(f"`k` must be an integer of at least 1. Received: k={k!r}.")
    return int(k)


def as_number(
    value: Any, name: str, expected: str, fits: Callable[[float], Any]
) -> float:
    """A number as a float, if it fits.

    Args:
        expected: what the number must be, in words.
        fits: whether it is that; NaN should not be.

    Raises:
        ValueError: for anything that is not one number, or does not fit.
    """
    is_number = isinstance(value, int | float | np.integer | np.floating)
    if not is_number or isinstance(value, bool) or not fits(float(value)):
        raise ValueError(f"`{name}` must be {expected}. Received: {name}={value!r}.")
    return float(value)


def as_count(value: Any, name: str, least: int = 1, most: int | None = None) -> int:
    """An integer of at least `least`, and at most `most` if that is given."""
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole or value < least or (most is not None and value > most):
        upper = "" if most is None else f" and at most {most}"
        raise ValueError(
            f"`{name}` must be an integer of at least {least}{upper}. Received: "
            f"{name}={value!r}."
        )
    return int(value)


def as_text(value: Any, name: str) -> str:
    """A string.

    Raises:
        TypeError: for anything else.
    """
    if not isinstance(value, str):
        raise TypeError(
            f"`{name}` must be a string. Received: {name} of type "
            f"{type(value).__name__}."
        )
    return value


def known(identifier: Any, room: str, members: Mapping[str, Member]) -> Member:
    """The member of a room by its name, whatever the case.

    Raises:
        ValueError: for an unknown name; the message lists the known ones.
        TypeError: for something that is not a name.
    """
    if not isinstance(identifier, str):
        raise TypeError(
            f"`{room}` must be a name, one of {sorted(members)}, or an object of that "
            f"kind. Received: {room}={identifier!r}."
        )
    name = identifier.strip().lower()
    if name not in members:
        raise ValueError(
            f"Unknown {room} {identifier!r}. The known ones are {sorted(members)}."
        )
    return members[name]


def _sequence_as_array(y: Any, name: str) -> np.ndarray:
    if isinstance(y, list | tuple) and not _are_alike(y):
        # NumPy would make [1, "1"] two equal strings, and [2**53 + 1, 1.0] floats.
        return np.fromiter(y, object, len(y))
    try:
        return as_array(y)
    except ValueError:
        raise ValueError(
            f"`{name}` must be a flat sequence of labels. Received nested sequences "
            "of unequal length."
        ) from None


def _are_alike(items: "list[Any] | tuple[Any, ...]") -> bool:
    """Whether all are of one kind that NumPy keeps as it is; None and str are not."""
    kinds = set(map(type, items))
    return len(kinds) < 2 and not kinds & {type(None), str, bytes}


def _from_objects(array: np.ndarray, name: str) -> np.ndarray:
    """Labels with None among them, or strings as objects."""
    given = [label for label in array.tolist() if label is not None]
    if all(isinstance(label, str | bytes) for label in given):
        if not given:
            return np.full(len(array), NO_LABEL)
        texts = [None if label is None else _text(label) for label in array.tolist()]
        return np.array(texts, object)
    if all(_is_integer(label) for label in given):
        filled = [NO_LABEL if label is None else int(label) for label in array.tolist()]
        try:
            return np.array(filled, np.int64)
        except OverflowError:
            raise _bad_labels(name, "integers beyond 64 bits") from None
    raise _bad_labels(name, f"types {sorted({type(x).__name__ for x in given})}")


def _is_integer(label: Any) -> bool:
    if isinstance(label, float | np.floating):
        return float(label).is_integer()
    return isinstance(label, int | np.integer | np.bool_)


def _text(label: str | bytes) -> str:
    return label.decode() if isinstance(label, bytes) else label


def _bad_labels(name: str, received: str) -> TypeError:
    return TypeError(
        f"`{name}` must be integers of 64 bits, strings, or None for an item without "
        f"a label. Received: {received}."
    )
