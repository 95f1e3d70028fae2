"""Vectors and user data of all rows in their two files, to be written behind."""

import contextlib
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tensorflow_similarity._core.columns import Column, Items
from tensorflow_similarity._core.vectors import MappedBlock, Vectors, rows_per_block
from tensorflow_similarity.stores.folder_facts import opened, place_in
from tensorflow_similarity.stores.records import Record
from tensorflow_similarity.stores.row_files import (
    DataFile,
    StoredItems,
    VectorFile,
)
from tensorflow_similarity.stores.snapshot import NewItems, StoreSnapshot

# Mappings of the vector file, each of which takes a file descriptor.
_MAPPINGS = 64


class KeptRows:
    """The two files, and where the user data of each row stand.

    Args:
        offsets: -1 for rows without; None if no row has any.
        end: bytes of user data that count.
    """

    def __init__(
        self,
        vectors: VectorFile,
        data: DataFile,
        offsets: np.ndarray | None,
        end: int = 0,
    ):
        self.vectors = vectors
        self.data = data
        self.end = end
        self._offsets = None if offsets is None else _column(offsets)
        self._n_mappings = 1
        self._unsynced = True

    @property
    def offsets(self) -> np.ndarray | None:
        """Where the user data of each row stand, -1 for none; None if all have none."""
        return None if self._offsets is None else self._offsets.values

    def added(self, items: NewItems, first: int) -> "KeptRows":
        """The files with further rows written behind, which a failure leaves there."""
        after = KeptRows(self.vectors, self.data, None)
        after._n_mappings = self._n_mappings
        self.vectors.write_rows(items.embeddings, first)
        placed, after.end = np.full(len(items), -1), self.end
        if items.data is not None:
            placed, after.end = self.data.append(items.data, len(items), self.end)
        present = self._offsets
        if present is None and after.end > self.end:
            present = _column(np.full(first, -1))
        after._offsets = None if present is None else present.append(placed)
        return after

    def redo(self, before: "KeptRows", items: NewItems) -> Record:
        """What must stand in a record so that the files need not be on the disk yet."""
        record: Record = {"rows": items.embeddings.tobytes()}
        if self.end > before.end:
            blobs = self.data.read(self.end - before.end, before.end)
            record |= {"at": before.end, "blobs": blobs}
        return record

    def cut(self, n_rows: int, dim: int) -> None:
        """Cuts off what does not count."""
        for file, size in ((self.vectors, n_rows * 4 * dim), (self.data, self.end)):
            if file.size > size:
                file.cut(size)

    def sync(self) -> None:
        """Waits until the disk has them."""
        if self._unsynced:
            self.vectors.sync()
            self.data.sync()
            self._unsynced = False

    def items(self, n: int) -> Items:
        """The user data of n rows, read when they are looked at."""
        offsets = self.offsets
        chunk = None if offsets is None else StoredItems(self.data, offsets)
        return Items().append(chunk, n)

    def in_file(self, vectors: Vectors, first: int) -> Vectors:
        """The view with the blocks that became full from row `first` on mapped."""
        height = rows_per_block(vectors.dim)
        start, end = first // height, vectors.size // height
        if start == end:
            return vectors
        parts: list[Any] = list(vectors.parts)
        # They are kept already: where they cannot be mapped, they stay in memory.
        with contextlib.suppress(OSError):
            filled = parts[start:end]
            parts[start:end] = self.vectors.take_over(start, filled, vectors.dim)
            self._n_mappings += 1
            full = parts[:end]
            shared = all(isinstance(part, MappedBlock) for part in full)
            if self._n_mappings > _MAPPINGS and shared:
                self.vectors.gather(full, vectors.dim)
                self._n_mappings = 1
        return replace(vectors, parts=tuple(parts))


def redone(
    folder: Path, head: dict[str, Any], records: list[Record]
) -> tuple[VectorFile, DataFile]:
    """The files that a log names, with what stood in the log only.

    Which is so when the power failed before the files were on the disk.
    """
    vectors = opened(VectorFile, folder, head["vectors"], head["rows"])
    data = opened(DataFile, folder, head["data"], head["data_end"])
    for record in records:
        if "rows" in record:
            rows = np.frombuffer(record["rows"], np.float32)
            vectors.write_rows(rows.reshape(-1, head["dim"]), record["first"])
        if "blobs" in record:
            data.write(record["blobs"], record["at"])
    return vectors, data


def copied(
    source: StoreSnapshot,
    rows: np.ndarray,
    folder: Path,
    number: int,
    same_data: KeptRows | None,
) -> tuple[KeptRows, list[int], int]:
    """Rows of a view in new files.

    Args:
        same_data: whose user data stay where they are; None to write them, too.

    Returns:
        The files, the checksums of the full blocks, and that of the last one.
    """
    dim = source.vectors.dim
    vectors = VectorFile(place_in(folder, VectorFile, number), True, new=True)
    height, blocks = rows_per_block(dim), []
    for first in range(0, len(rows), height):
        part = source.vectors.take(rows[first : first + height])
        vectors.write_rows(part, first)
        blocks.append(zlib.crc32(part.tobytes()))
    tail = blocks.pop() if len(rows) % height else 0
    if same_data is not None:
        same = KeptRows(vectors, same_data.data, same_data.offsets, same_data.end)
        return same, blocks, tail
    data = DataFile(place_in(folder, DataFile, number), True, new=True)
    if source.items.is_empty():
        return KeptRows(vectors, data, None), blocks, tail
    items = (source.items[row] for row in rows.tolist())
    placed, end = data.append(items, len(rows), 0)
    return KeptRows(vectors, data, placed if end else None, end), blocks, tail


def _column(values: np.ndarray) -> Column:
    return Column(values[:0]).append(values)
