"""From the user's own ids to rows, and back: sorted runs, seen through immutable views.

A million ids cost three flat arrays, never a dictionary. Each batch becomes a sorted
run; runs merge as binary numbers carry, so that n batches leave about log2(n) of them.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from tensorflow_similarity._core import doors
from tensorflow_similarity._core.columns import Column
from tensorflow_similarity.types import NO_LABEL


@dataclass(frozen=True, eq=False)
class _Run:
    """Sort keys, ascending, and the rows they belong to; equal keys by rising row."""

    keys: np.ndarray
    rows: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    def merged(self, later: "_Run") -> "_Run":
        keys = np.concatenate([self.keys, later.keys])
        # Stable: equal keys stay in the order of their rows.
        order = np.argsort(keys, kind="stable")
        rows = np.concatenate([self.rows, later.rows])
        return _Run(keys[order], rows[order])


@dataclass(frozen=True, eq=False)
class IdIndex:
    """The ids of rows 0 to n - 1, all integers or all strings, as an immutable view.

    An id may stand at several rows: the last one counts, those before are of items
    that were replaced.
    """

    _ids: Column
    _runs: tuple[_Run, ...] = ()

    @classmethod
    def of(cls, ids: np.ndarray) -> "IdIndex":
        """An index of these ids: int64, or an object array of strings."""
        return cls(Column(np.empty(0, ids.dtype))).appended(ids)

    @property
    def values(self) -> np.ndarray:
        """The ids by row; not to be written to."""
        return self._ids.values

    @property
    def kind(self) -> str:
        """'integers' or 'strings'."""
        return kind_of(self.values)

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays; the texts of strings are not counted."""
        runs = sum(run.keys.nbytes + run.rows.nbytes for run in self._runs)
        return self.values.nbytes + runs

    def appended(self, ids: np.ndarray) -> "IdIndex":
        """The index with further ids, distinct, for the rows that follow."""
        if not len(ids):
            return self
        start = self._ids.size
        keys = _sort_keys(ids)
        order = np.argsort(keys, kind="stable")
        small = start + len(ids) < np.iinfo(np.int32).max
        rows = (order + start).astype(np.int32 if small else np.int64)
        runs = [*self._runs, _Run(keys[order], rows)]
        while len(runs) > 1 and len(runs[-2]) <= len(runs[-1]):
            later = runs.pop()
            runs[-1] = runs[-1].merged(later)
        return IdIndex(self._ids.append(ids), tuple(runs))

    def rows_of(self, ids: np.ndarray) -> np.ndarray:
        """The last row of each id, -1 where it never was."""
        found = np.full(len(ids), -1, np.int64)
        if kind_of(ids) != self.kind:
            return found
        keys = _sort_keys(ids)
        open_ = np.arange(len(ids))
        for run in reversed(self._runs):
            if not len(open_):
                break
            found[open_] = self._within(run, ids[open_], keys[open_])
            open_ = open_[found[open_] < 0]
        return found

    def _within(self, run: _Run, ids: np.ndarray, keys: np.ndarray) -> np.ndarray:
        at = np.searchsorted(run.keys, keys, side="right") - 1
        rows = np.where(at >= 0, run.rows[at], -1).astype(np.int64)
        unsure = np.arange(len(ids))
        # Once round for integers; strings of equal hash are stepped through.
        while len(unsure):
            here = at[unsure]
            near = (here >= 0) & (run.keys[np.maximum(here, 0)] == keys[unsure])
            rows[unsure[~near]] = -1
            unsure = unsure[near]
            rows[unsure] = run.rows[at[unsure]]
            unsure = unsure[self.values[rows[unsure]] != ids[unsure]]
            at[unsure] -= 1
        return rows


def kind_of(ids: np.ndarray) -> str:
    """'integers' or 'strings'."""
    return "strings" if ids.dtype == object else "integers"


def _sort_keys(ids: np.ndarray) -> np.ndarray:
    """Integers as they are, strings by their hash in this process."""
    if ids.dtype != object:
        return ids
    return np.fromiter(map(hash, ids.tolist()), np.int64, len(ids))


def as_own_ids(ids: Any, n: int, distinct: bool = True) -> np.ndarray:
    """The user's ids of n items: int64, or an object array of strings.

    Raises:
        ValueError: for another number of ids, or one that comes twice.
        TypeError: for ids of mixed type, or neither integers nor strings.
    """
    try:
        array = doors.as_labels(ids, n, "ids")
    except ValueError:
        raise ValueError(
            f"`ids` must hold one id for each of the {n} items, shape ({n},). "
            f"Received: {ids!r}."[:300]
        ) from None
    except TypeError:
        raise TypeError(
            "`ids` must be integers of 64 bits or strings, all of one type. Received: "
            f"{ids!r}."[:300]
        ) from None
    if getattr(ids, "dtype", np.dtype("O")).kind in "bf":
        raise TypeError(f"`ids` must be integers or strings. Received: {ids.dtype}.")
    if array.dtype == object:
        missing = [i for i, text in enumerate(array.tolist()) if text is None]
    else:
        missing = np.flatnonzero(array == NO_LABEL).tolist()
    if missing:
        raise TypeError(
            f"`ids` must hold an id for each item. Received None at {missing[0]}."
        )
    if distinct:
        values, counts = np.unique(array, return_counts=True)
        if len(values) < n:
            twice = values[counts > 1][:3].tolist()
            raise ValueError(
                f"`ids` must be distinct in one call. Received more than once: {twice}."
            )
    return array


def as_asked_ids(ids: Any) -> np.ndarray:
    """Ids to look for, int64 or objects, shape (n,); a single one as n = 1.

    Raises:
        TypeError: for anything but integers of 64 bits or strings.
    """
    if isinstance(ids, str | bytes) or not hasattr(ids, "__len__"):
        ids = [ids]
    if isinstance(ids, set | frozenset):
        ids = list(ids)
    # NumPy would make [1, "1"] two equal texts, and end texts at a zero byte.
    if isinstance(ids, list | tuple):
        if not ids:
            return np.empty(0, np.int64)
        ids = np.fromiter(ids, object, len(ids))
    try:
        array = np.atleast_1d(doors.as_array(ids))
        if array.dtype.kind not in "USO":
            return doors.as_ids(array)
        if array.dtype == object and not any(
            isinstance(one, str | bytes) for one in array.tolist()
        ):
            return doors.as_ids(np.array(array.tolist()))
        return as_own_ids(array, len(array), distinct=False)
    except ValueError:
        raise TypeError(
            "`ids` must be integers of 64 bits or strings, shape (n,). Received "
            "nested sequences."
        ) from None
