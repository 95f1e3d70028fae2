"""User data as an Arrow column: plain where Arrow can say it, else encoded bytes."""

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np

from tensorflow_similarity._core.columns import Items
from tensorflow_similarity._core.items import decode, encode

_PLAIN = {str: "string", bytes: "binary", bool: "bool", float: "double"}
_INT64 = range(-(2**63), 2**63)
# Numbers of 16 bits with a point, and dates, are encoded: Parquet has no such, or
# would give them back as something else.
_ARRAYS = {np.dtype(code) for code in "bBhHiIlLfd?"}
_SAMPLE = 16


@dataclass(frozen=True)
class DataKind:
    """What all user data of an index are.

    Args:
        name: "none", "plain" for Python's own of one type, "array" for arrays alike,
            "encoded" for everything else.
        dtype: Arrow's name of the type if plain, NumPy's if arrays.
        shape: of each array.
    """

    name: str
    dtype: str = ""
    shape: tuple[int, ...] = ()

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        return cls(**{**config, "shape": tuple(config["shape"])})

    def get_config(self) -> dict[str, Any]:
        return asdict(self)

    def arrow_type(self, pa: Any) -> Any:
        """The type of the column."""
        if self.name == "plain":
            return pa.type_for_alias(self.dtype)
        if self.name != "array":
            return pa.binary()
        item = pa.from_numpy_dtype(np.dtype(self.dtype))
        return pa.list_(item, math.prod(self.shape)) if self.shape else item

    def column(self, items: list[Any], pa: Any) -> Any:
        """These items as an Arrow array."""
        if self.name == "plain":
            return pa.array(items, self.arrow_type(pa))
        if self.name != "array":
            encoded = [None if item is None else encode(item) for item in items]
            return pa.array(encoded, pa.binary())
        flat = pa.array(np.array(items, self.dtype).reshape(-1))
        if not self.shape:
            return flat
        return pa.FixedSizeListArray.from_arrays(flat, math.prod(self.shape))

    def items(self, column: Any) -> "np.ndarray | list[Any]":
        """What `column` made an Arrow array of."""
        if self.name == "plain":
            return list(column.to_pylist())
        if self.name != "array":
            return [None if x is None else decode(x) for x in column.to_pylist()]
        flat = column.flatten() if self.shape else column
        values = flat.to_numpy(zero_copy_only=False).astype(self.dtype)
        return np.asarray(values.reshape(len(column), *self.shape))

    def item_bytes(self, some: Iterable[Any]) -> int:
        """About how many bytes an item takes, by some of them."""
        if self.name == "none":
            return 0
        if self.name == "array":
            return math.prod(self.shape) * np.dtype(self.dtype).itemsize
        sizes = [len(encode(item)) for item in some]
        return sum(sizes) // max(len(sizes), 1)


NONE, ENCODED = DataKind("none"), DataKind("encoded")


def data_kind(items: Items, rows: np.ndarray) -> DataKind:
    """What the user data of these rows, ascending, all are."""
    found = NONE
    some_without = False
    for start, n, chunk in items.chunks():
        low, high = np.searchsorted(rows, [start, start + n]).tolist()
        if low == high:
            continue
        if isinstance(chunk, np.ndarray):
            kinds = {_array_kind(chunk.dtype, chunk.shape[1:])}
        elif chunk is None:
            kinds = {NONE}
        else:
            kinds = {_kind(item) for item in items.take(rows[low:high].tolist())}
        some_without |= NONE in kinds
        for kind in kinds - {NONE}:
            if found not in (NONE, kind):
                return ENCODED
            found = kind
    # Lists of lists in Parquet tell an absent array from an empty one badly.
    return ENCODED if some_without and found.name == "array" else found


def sample(items: Items, rows: np.ndarray) -> list[Any]:
    """A few items, spread over the rows."""
    step = max(len(rows) // _SAMPLE, 1)
    return items.take(rows[::step].tolist())


def _kind(item: Any) -> DataKind:
    if item is None:
        return NONE
    if isinstance(item, np.ndarray):
        return _array_kind(item.dtype, item.shape) if item.shape else ENCODED
    if type(item) is int:
        return DataKind("plain", "int64") if item in _INT64 else ENCODED
    if type(item) is str:
        try:
            item.encode()
        except UnicodeEncodeError:  # half a surrogate pair
            return ENCODED
    name = _PLAIN.get(type(item))
    return ENCODED if name is None else DataKind("plain", name)


def _array_kind(dtype: np.dtype, shape: tuple[int, ...]) -> DataKind:
    if dtype not in _ARRAYS or not math.prod(shape):
        return ENCODED
    return DataKind("array", dtype.str, shape)
