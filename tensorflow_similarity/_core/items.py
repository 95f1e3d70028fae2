"""User data as bytes: numbers, strings, bytes, None, arrays, lists and dicts of those.

An encoded item is the length of a JSON text (4 bytes, little-endian), the text, and
the raw bytes that the text points into. Nothing in it can run code.
"""

import json
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

from tensorflow_similarity._core.doors import as_array

_KINDS = "biufcSUmM"
_HEADER = struct.Struct("<I")


def as_item(item: Any, name: str = "data") -> Any:
    """`item` with tensors made arrays, if it is of a kind that can be kept.

    Arrays are copied, so that what is kept does not change with the user's own.

    Raises:
        TypeError: for anything else; the message names its type.
    """
    if item is None or isinstance(item, bool | int | float | str | bytes):
        return item
    if isinstance(item, list | tuple):
        parts = [as_item(part, name) for part in item]
        return tuple(parts) if isinstance(item, tuple) else parts
    if isinstance(item, dict):
        if not all(isinstance(key, str | int) for key in item):
            raise _unknown(name, "a dict with keys other than strings and integers")
        return {key: as_item(value, name) for key, value in item.items()}
    if hasattr(item, "__array__"):
        array = as_array(item)
        if array.dtype == object:  # strings of tf, ragged rows
            return as_item(array.tolist(), name)
        if array.dtype.kind in _KINDS:
            return array[()] if isinstance(item, np.generic) else array.copy()
        raise _unknown(name, f"an array of dtype {array.dtype}")
    raise _unknown(name, f"a {type(item).__name__}")


def encode(item: Any) -> bytes:
    """The bytes of an item that `as_item` let through."""
    raw = bytearray()
    text = json.dumps(_described(item, raw)).encode()
    return _HEADER.pack(len(text)) + text + raw


def decode(encoded: bytes) -> Any:
    """The item again; tuples, dict keys, dtypes and shapes as they were."""
    (length,) = _HEADER.unpack_from(encoded)
    start = _HEADER.size + length
    return _restored(json.loads(encoded[_HEADER.size : start]), encoded[start:])


def pack(values: Sequence[Any]) -> tuple[np.ndarray, np.ndarray]:
    """Encoded items, one behind the other, uint8, and where each ends, int64."""
    encoded = [encode(value) for value in values]
    ends = np.cumsum([len(part) for part in encoded], dtype=np.int64)
    return np.frombuffer(bytearray(b"".join(encoded)), np.uint8), ends


def unpack(raw: np.ndarray, ends: np.ndarray) -> list[Any]:
    """The items that `pack` packed."""
    everything, stops = raw.tobytes(), ends.tolist()
    starts = [0, *stops]
    return [
        decode(everything[start:end]) for start, end in zip(starts, stops, strict=False)
    ]


def _described(item: Any, raw: bytearray) -> Any:
    """JSON for the item: what is not plain is a list that begins with its kind."""
    # np.float64 is a float and np.str_ a str too: asked first, to stay what they are.
    if isinstance(item, np.generic):
        array = np.asarray(item)
        return ["scalar", array.dtype.str, (), *_kept(array.tobytes(), raw)]
    if item is None or isinstance(item, bool | int | float | str):
        return item
    if isinstance(item, bytes):
        return ["bytes", *_kept(item, raw)]
    if isinstance(item, list | tuple):
        kind = "tuple" if isinstance(item, tuple) else "list"
        return [kind, [_described(part, raw) for part in item]]
    if isinstance(item, dict):
        pairs = [[key, _described(value, raw)] for key, value in item.items()]
        return ["dict", pairs]
    return ["array", item.dtype.str, item.shape, *_kept(item.tobytes(), raw)]


def _kept(part: bytes, raw: bytearray) -> tuple[int, int]:
    start = len(raw)
    raw += part
    return start, len(part)


def _restored(described: Any, raw: bytes) -> Any:
    if not isinstance(described, list):
        return described
    kind, *rest = described
    if kind == "bytes":
        return raw[rest[0] : rest[0] + rest[1]]
    if kind == "list":
        return [_restored(part, raw) for part in rest[0]]
    if kind == "tuple":
        return tuple(_restored(part, raw) for part in rest[0])
    if kind == "dict":
        return {key: _restored(value, raw) for key, value in rest[0]}
    dtype, shape, start, length = rest
    array = np.frombuffer(raw[start : start + length], np.dtype(dtype)).reshape(shape)
    return array[()] if kind == "scalar" else array.copy()


def _unknown(name: str, received: str) -> TypeError:
    return TypeError(
        f"`{name}` must be made of numbers, strings, bytes, None, arrays of numbers or "
        f"strings, and lists, tuples and dicts of those. Received: {received}. Keep "
        "other things in a table of your own and give its keys as `data`."
    )
