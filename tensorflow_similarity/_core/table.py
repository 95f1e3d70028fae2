"""Metadata: named columns of plain values, seen through immutable views.

A column holds integers, floats, booleans or strings, and None where a row has none.
Strings are numbers of a vocabulary, so that comparing a million of them compares
integers. A batch of values is a dict of arrays whose dtype tells the kind: int64,
float64, int8 (booleans) or objects (strings); `as_metadata` makes it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tensorflow_similarity._core import doors
from tensorflow_similarity._core.columns import Column
from tensorflow_similarity.types import NO_LABEL

#: Names that `where=` gives a meaning of their own.
RESERVED = ("label", "id", "and", "or", "not")

_KINDS = {"i8": "integers", "f8": "floats", "i1": "booleans", "O": "strings"}
_MISSING: dict[str, Any] = {
    "integers": np.int64(NO_LABEL),
    "floats": np.float64(np.nan),
    "booleans": np.int8(-1),
    "strings": np.int32(-1),
}

Batch = Mapping[str, np.ndarray]


def kind_of(values: np.ndarray) -> str:
    """'integers', 'floats', 'booleans' or 'strings'."""
    return _KINDS[values.dtype.str.lstrip("<|>=")]


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """The distinct texts of a column, in the order they came; shared by its views."""

    texts: list[str] = field(default_factory=list)
    numbers: dict[str, int] = field(default_factory=dict)

    def encode(self, values: np.ndarray) -> np.ndarray:
        """Numbers of these texts, -1 for None; new texts are taken in."""
        given, numbers = values.tolist(), self.numbers
        for text in given:
            if text is not None and text not in numbers:
                numbers[text] = len(self.texts)
                self.texts.append(text)
        codes = [-1 if text is None else numbers[text] for text in given]
        return np.array(codes, np.int32)


@dataclass(frozen=True, eq=False)
class MetadataColumn:
    """One column: its kind, its values by row, its vocabulary if it holds strings."""

    kind: str
    _values: Column
    vocabulary: Vocabulary

    @classmethod
    def missing_for(cls, kind: str, n: int) -> "MetadataColumn":
        """A column of n rows without a value."""
        none = np.full(n, _MISSING[kind])
        return cls(kind, Column(none[:0]).append(none), Vocabulary())

    @property
    def values(self) -> np.ndarray:
        """By row, as they are kept; strings as numbers of the vocabulary."""
        return self._values.values

    @property
    def missing(self) -> np.ndarray:
        """Bool by row: True where there is no value."""
        return _is_missing(self.kind, self.values)

    def at(self, rows: np.ndarray) -> np.ndarray:
        """The values of these rows as a batch holds them."""
        found = self.values[rows]
        if self.kind != "strings":
            return found
        texts = np.array([*self.vocabulary.texts, None], object)
        return np.asarray(texts[found])

    def plain(self, rows: np.ndarray) -> list[Any]:
        """The values of these rows as Python's own, None where there is none."""
        found = self.values[rows]
        missing = _is_missing(self.kind, found).tolist()
        values = found.tolist()
        if self.kind == "strings":
            texts = self.vocabulary.texts
            values = [None if code < 0 else texts[code] for code in values]
        elif self.kind == "booleans":
            values = [value == 1 for value in values]
        return [
            None if gone else value for value, gone in zip(values, missing, strict=True)
        ]

    def appended(self, values: np.ndarray | None, n: int) -> "MetadataColumn":
        """The column with n more values; None: n times no value."""
        if values is None:
            kept = np.full(n, _MISSING[self.kind])
        elif self.kind == "strings":
            kept = self.vocabulary.encode(values)
        elif self.kind == "floats" and kind_of(values) == "integers":
            kept = np.where(values == NO_LABEL, np.nan, values.astype(np.float64))
        else:
            kept = values
        return MetadataColumn(self.kind, self._values.append(kept), self.vocabulary)


def _is_missing(kind: str, values: np.ndarray) -> np.ndarray:
    return (
        np.isnan(values) if kind == "floats" else np.asarray(values == _MISSING[kind])
    )


@dataclass(frozen=True, eq=False)
class Table:
    """Columns over the same rows, as an immutable view."""

    size: int = 0
    columns: Mapping[str, MetadataColumn] = field(default_factory=dict)

    def appended(self, batch: Batch | None, n: int) -> "Table":
        """The table with n more rows; columns that are new begin without values.

        Raises:
            TypeError: for values of another kind than their column holds.
        """
        batch = batch or {}
        if not batch and not self.columns:
            return Table(self.size + n)
        columns = dict(self.columns)
        for name, values in batch.items():
            kind = kind_of(values)
            present = columns.get(name)
            if present is None or (present.kind != kind and present.missing.all()):
                columns[name] = MetadataColumn.missing_for(kind, self.size)
            elif (present.kind, kind) not in _FITTING:
                raise TypeError(
                    f"The metadata column {name!r} holds {present.kind}. Received: "
                    f"{kind}. A column keeps its type: give these values another name."
                )
        return Table(
            self.size + n,
            {name: c.appended(batch.get(name), n) for name, c in columns.items()},
        )

    def at(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """The values of these rows as a batch."""
        return {name: column.at(rows) for name, column in self.columns.items()}

    def plain(self, rows: np.ndarray) -> dict[str, list[Any]]:
        """The values of these rows by column, as Python's own."""
        return {name: column.plain(rows) for name, column in self.columns.items()}

    def records(self, rows: np.ndarray) -> list[dict[str, Any]]:
        """One dict a row, without the columns in which it has no value."""
        columns = self.plain(rows)
        return [
            {
                name: values[i]
                for name, values in columns.items()
                if values[i] is not None
            }
            for i in range(len(rows))
        ]

    @property
    def nbytes(self) -> int:
        """Bytes of the columns; the vocabularies' texts are not counted."""
        return sum(column.values.nbytes for column in self.columns.values())


_FITTING = {(kind, kind) for kind in _MISSING} | {("floats", "integers")}


def as_metadata(metadata: Any, n: int) -> dict[str, np.ndarray] | None:
    """Metadata of n items as a batch: from a dict of columns, a list of n dicts, or a
    data frame.

    Raises:
        ValueError: for another number of values, or a reserved name.
        TypeError: for anything but numbers, booleans, strings and None.
    """
    if metadata is None:
        return None
    if hasattr(metadata, "to_dict") and hasattr(metadata, "columns"):  # a data frame
        metadata = {name: metadata[name].tolist() for name in metadata.columns}
    if isinstance(metadata, Mapping):
        columns = dict(metadata)
    else:
        columns = _columns_of(metadata, n)
    batch = {}
    for name, values in columns.items():
        _check_name(name)
        length = len(values) if hasattr(values, "__len__") else -1
        if length != n or isinstance(values, str | bytes):
            raise ValueError(
                f"The metadata column {name!r} must hold one value for each of the {n} "
                f"items. Received: {values!r}."[:300]
            )
        array = _as_values(name, values)
        if array is not None:
            batch[name] = array
    return batch


def _columns_of(records: Any, n: int) -> dict[str, list[Any]]:
    is_list = isinstance(records, Sequence) and not isinstance(records, str | bytes)
    if not is_list or not all(isinstance(r, Mapping | None) for r in records):
        raise TypeError(
            "`metadata` must be a dict of columns, a list of one dict an item, or a "
            f"data frame. Received: a {type(records).__name__}."
        )
    if len(records) != n:
        raise ValueError(
            f"`metadata` must hold one dict for each of the {n} items. Received: "
            f"{len(records)}."
        )
    names = dict.fromkeys(name for record in records for name in record or {})
    return {name: [(record or {}).get(name) for record in records] for name in names}


def _check_name(name: Any) -> None:
    if not isinstance(name, str) or not name or name in RESERVED:
        raise ValueError(
            "Names of metadata columns must be strings other than "
            f"{', '.join(RESERVED)}, which `where` uses. Received: {name!r}."
        )


def _as_values(name: str, values: Any) -> np.ndarray | None:
    """The values as a batch holds them; None where every one is missing."""
    if isinstance(values, np.ndarray) and values.ndim == 1:
        if values.dtype.kind == "b":
            return values.astype(np.int8)
        if values.dtype.kind == "f":
            return values.astype(np.float64)
        if values.dtype.kind in "iu" and values.dtype != np.uint64:
            return values.astype(np.int64)
    given = [_plain(name, value) for value in values]
    kinds = {type(value) for value in given if value is not None}
    if not kinds:
        return None
    if kinds == {str}:
        return np.array(given, object)
    if kinds == {bool}:
        none = _MISSING["booleans"]
        return np.array([none if v is None else v for v in given], np.int8)
    if kinds == {int}:
        return doors.as_labels(given, len(given), f"metadata[{name!r}]")
    if kinds <= {int, float}:
        return np.array([np.nan if v is None else v for v in given], np.float64)
    raise TypeError(
        f"The metadata column {name!r} must hold values of one type. Received: "
        f"{sorted(kind.__name__ for kind in kinds)}."
    )


def _plain(name: str, value: Any) -> Any:
    """A value as Python's own."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bytes):
        value = value.decode()
    if isinstance(value, float) and math.isnan(value):
        return None  # how data frames write what is missing
    if value is None or isinstance(value, bool | int | float | str):
        return value
    array = doors.as_array(value)
    if array.shape == () and array.dtype.kind in "biufSU":
        return _plain(name, array[()])
    raise TypeError(
        f"The metadata column {name!r} must hold numbers, booleans, strings or None. "
        f"Received: a {type(value).__name__}. Keep other things as `data`."
    )
