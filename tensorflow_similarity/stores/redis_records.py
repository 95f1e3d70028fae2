"""What a store's changes look like on a server: records with a checksum, in lots.

A record is a CRC32 and an encoded item (`_core/items.py`); nothing in it can run code.
"""

import zlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from tensorflow_similarity._core.items import decode, encode
from tensorflow_similarity.stores.changes import Added, Relabelled, Removed
from tensorflow_similarity.stores.snapshot import NewItems, StoreSnapshot

_CHECKSUM_BYTES = 4
# Bytes of embeddings in one record: well below the 512 MB that a server takes, and
# little enough that many writers' lots fit into its buffers.
_LOT_BYTES = 4 * 2**20

Lot = dict[str, Any]


def sealed(value: Any) -> bytes:
    """An item as a record."""
    body = encode(value)
    return zlib.crc32(body).to_bytes(_CHECKSUM_BYTES, "little") + body


def opened(record: bytes, name: str) -> Any:
    """The item in a record.

    Args:
        name: where it stands, for the message.

    Raises:
        ValueError: if it is not as it was written.
    """
    body = record[_CHECKSUM_BYTES:]
    checksum = int.from_bytes(record[:_CHECKSUM_BYTES], "little")
    if len(record) <= _CHECKSUM_BYTES or zlib.crc32(body) != checksum:
        raise ValueError(
            f"The record {name!r} on the Redis server is damaged: it is not as it was "
            "written. Restore the server's data, or make the index again from yours."
        )
    return decode(body)


def lots_of(change: Added | Removed | Relabelled) -> Iterator[Lot]:
    """The change in parts of bounded size; one at least."""
    if isinstance(change, Added):
        yield from item_lots(change.items)
        return
    step = _LOT_BYTES // 8
    for first in range(0, max(len(change.rows), 1), step):
        some = slice(first, first + step)
        lot: Lot = {"rows": change.rows[some]}
        if isinstance(change, Relabelled):
            lot["labels"] = _plain(change.labels[some])
        yield lot


def item_lots(items: NewItems, keys: np.ndarray | None = None) -> Iterator[Lot]:
    """Items without their user data in parts of bounded size; one at least.

    Args:
        keys: those that they keep; None if they get the next ones.
    """
    step = max(_LOT_BYTES // (4 * max(items.embeddings.shape[1], 1)), 1)
    for first in range(0, max(len(items), 1), step):
        some = slice(first, first + step)
        lot: Lot = {
            "embeddings": items.embeddings[some],
            "labels": _plain(items.labels[some]),
            "metadata": {
                name: _plain(values[some])
                for name, values in (items.metadata or {}).items()
            },
        }
        if items.ids is not None:
            lot["ids"] = _plain(items.ids[some])
        if keys is not None:
            lot["keys"] = keys[some]
        yield lot


def after_lot(before: StoreSnapshot, lot: Lot, data: Any = None) -> StoreSnapshot:
    """The facts after one lot of a change.

    Args:
        data: user data of the items in the lot, or None.
    """
    if "embeddings" not in lot:
        rows = lot["rows"]
        if "labels" in lot:
            return before.relabelled(rows, _array(lot["labels"]))
        return before.without(rows)
    new = NewItems(
        lot["embeddings"],
        _array(lot["labels"]),
        data,
        _array(lot["ids"]) if "ids" in lot else None,
        {name: _array(values) for name, values in lot["metadata"].items()},
    )
    after = before.with_items(new)
    if "keys" in lot:
        column = before.key_column.append(lot["keys"])
        after = replace(after, key_column=column)
    return after


def _plain(values: np.ndarray) -> "np.ndarray | list[Any]":
    """Numbers as they are; texts as a list."""
    return values.tolist() if values.dtype == object else values


def _array(values: "np.ndarray | list[Any]") -> np.ndarray:
    return np.array(values, object) if isinstance(values, list) else values
