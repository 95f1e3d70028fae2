"""Labels on the host: one array, grouped by class, in integers that losses can take."""

import logging
import random
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tensorflow_similarity.samplers._sources import to_host

_INT32 = np.iinfo(np.int32)
_N_NAMED = 5
"""Classes named in a message; the others are counted."""

logger = logging.getLogger("tensorflow_similarity.samplers")


@dataclass(frozen=True, eq=False)
class Groups:
    """Rows of the classes in use.

    Args:
        classes: list of the user's own labels, integers or strings.
        rows: int64, shape (n,). Row numbers, those of a class side by side.
        sizes: int64, shape (n_classes,). How many rows each class has.
    """

    classes: list[Any]
    rows: np.ndarray
    sizes: np.ndarray

    def split(self) -> dict[Any, np.ndarray]:
        """The rows of each class."""
        ends = np.cumsum(self.sizes).tolist()
        begins = [0, *ends[:-1]]
        pieces = zip(self.classes, begins, ends, strict=True)
        return {label: self.rows[begin:end] for label, begin, end in pieces}

    def few(self, wanted: int) -> str:
        """Names the classes of fewer than `wanted` rows; empty if there is none."""
        short = np.flatnonzero(self.sizes < wanted)
        named = [f"{self.classes[i]!r}: {self.sizes[i]}" for i in short[:_N_NAMED]]
        if len(short) > _N_NAMED:
            named.append(f"and {len(short) - _N_NAMED} more")
        return ", ".join(named)


def as_labels(y: Any, n_examples: int) -> np.ndarray:
    """Checks labels and makes them one array.

    Args:
        y: integers or strings, shape (n,) or (n, 1); floats if all are whole.
        n_examples: int. How many labels are expected.

    Returns:
        shape (n,): integers of any width, or an object array of strings.

    Raises:
        ValueError: for another shape, another length, NaN, or broken numbers.
        TypeError: for labels that are neither numbers nor strings.
    """
    labels = np.asarray(to_host(y))
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1:
        raise ValueError(
            "`y` must hold one label per example, shape (n,) or (n, 1). Received: "
            f"shape {labels.shape}. For one-hot labels pass `y.argmax(axis=1)`."
        )
    if len(labels) != n_examples:
        raise ValueError(
            "`x` and `y` must be of equal length. Received: "
            f"{n_examples} examples in `x` and {len(labels)} labels in `y`."
        )
    if labels.dtype.kind == "O" and len(labels) and isinstance(labels[0], int):
        labels = np.array(labels.tolist())
    if labels.dtype.kind == "f":
        broken = ~(np.isfinite(labels) & (labels == np.floor(labels)))
        if broken.any():
            first = int(np.flatnonzero(broken)[0])
            raise ValueError(
                "`y` must hold whole numbers or strings. Received: "
                f"{int(broken.sum())} others, the first is y[{first}]={labels[first]}."
            )
        return labels.astype(np.int64)
    if labels.dtype.kind in "iu":
        return labels
    if labels.dtype.kind == "b":
        return labels.astype(np.int64)
    if labels.dtype.kind in "US":
        return labels.astype(object)
    if labels.dtype.kind == "O":
        for row, label in enumerate(labels):
            if not isinstance(label, str | bytes):
                raise TypeError(
                    "`y` must hold integers or strings. Received: "
                    f"y[{row}]={label!r} of type {type(label).__name__}."
                )
        return labels
    raise TypeError(
        f"`y` must hold integers or strings. Received: an array of {labels.dtype}."
    )


def group(labels: np.ndarray, class_list: Iterable[Any] | None) -> Groups:
    """Groups the rows by class.

    Args:
        labels: what `as_labels` answers.
        class_list: labels of the classes to keep, in the order wanted. Defaults to
            None: all of them, sorted.

    Raises:
        ValueError: if a class of `class_list` has no example, or stands there twice.
    """
    if labels.dtype.kind == "O":
        # A dictionary is five times faster than sorting a million strings.
        found = sorted(set(labels.tolist()))
        table = {label: code for code, label in enumerate(found)}
        codes = np.fromiter(map(table.__getitem__, labels), np.int64, len(labels))
    else:
        values, codes = np.unique(labels, return_inverse=True)
        found = values.tolist()
    order = np.argsort(codes, kind="stable")
    sizes = np.bincount(codes, minlength=len(found))
    if class_list is None:
        return Groups(found, order, sizes)
    if not hasattr(class_list, "__array__"):  # a set, the keys of a dict
        class_list = list(class_list)
    wanted = np.asarray(to_host(class_list)).reshape(-1).tolist()
    places = {label: place for place, label in enumerate(found)}
    missing = [label for label in wanted if label not in places]
    if missing:
        raise ValueError(
            "`class_list` must hold labels that occur in `y`. Without an example: "
            f"{missing[:_N_NAMED]} ({len(missing)} of {len(wanted)} classes). "
            f"`y` has {len(found)} classes, such as {found[:_N_NAMED]}."
        )
    if len(set(wanted)) < len(wanted):
        raise ValueError(f"`class_list` must not repeat a class. Received: {wanted}.")
    kept = np.array([places[label] for label in wanted], np.int64)
    ends = np.cumsum(sizes)
    pieces = [order[ends[place] - sizes[place] : ends[place]] for place in kept]
    rows = np.concatenate([order[:0], *pieces])
    return Groups([found[place] for place in kept], rows, sizes[kept])


def limit(groups: Groups, n_per_class: int, generator: np.random.Generator) -> Groups:
    """Keeps up to `n_per_class` random rows of each class, without replacement.

    Smaller classes stay whole and are reported once.
    """
    few = groups.few(n_per_class)
    if few:
        logger.warning(
            "Classes with fewer than total_examples_per_class=%d examples "
            "are used whole: %s.",
            n_per_class,
            few,
        )
    rows = [
        generator.permutation(rows)[:n_per_class] for rows in groups.split().values()
    ]
    sizes = np.minimum(groups.sizes, n_per_class)
    return Groups(groups.classes, np.concatenate(rows), sizes)


def encode(labels: np.ndarray, groups: Groups) -> np.ndarray:
    """Labels as int32, which every backend keeps as they are.

    Integers that fit stay what they are. Strings and wider integers become their
    place in `groups.classes`; rows that are not in use become -1.
    """
    if labels.dtype.kind != "O":
        used = np.asarray(groups.classes)
        if used.size == 0 or (used.min() >= _INT32.min and used.max() <= _INT32.max):
            if (used == -1).any():
                logger.warning(
                    "The label -1 means 'unknown' to the losses: examples of class -1 "
                    "form no pairs, so nothing is learned from them. If -1 is a class "
                    "of yours, give it another number."
                )
            with np.errstate(over="ignore"):
                return labels.astype(np.int32)
    encoded = np.full(len(labels), -1, np.int32)
    encoded[groups.rows] = np.repeat(np.arange(len(groups.sizes)), groups.sizes)
    return encoded


def check_count(name: str, value: Any) -> int:
    """An integer of at least 1."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(
            f"`{name}` must be an integer of at least 1. Received: {name}={value!r}."
        )
    return int(value)


def check_seed(seed: Any) -> int:
    """The seed given, or one that `keras.utils.set_random_seed` decides."""
    if seed is None:
        # Python's own generator is where Keras takes the seeds it was not given.
        return random.getrandbits(31)
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer):
        raise TypeError(f"`seed` must be an integer or None. Received: seed={seed!r}.")
    return int(seed) % 2**64
