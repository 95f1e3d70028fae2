"""The folder of a store that keeps its facts on disk: a log, vectors and user data.

A change is first appended to the files of vectors and data, which nobody reads beyond
the length that the log names, and then written into the log in one transaction. New
row numbers or new embeddings get new files, and the log then begins anew.
"""

import contextlib
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tensorflow_similarity._core.columns import Column, Items
from tensorflow_similarity._core.files import damaged
from tensorflow_similarity._core.vectors import Vectors, rows_per_block
from tensorflow_similarity.stores.change_log import FILE, ChangeLog, Head
from tensorflow_similarity.stores.changes import Added, Relabelled, Removed
from tensorflow_similarity.stores.folder_facts import (
    check_head,
    check_place,
    head_of,
    name_of,
    opened,
    row_files,
    snapshot_in,
    sync_folder,
    vectors_in,
)
from tensorflow_similarity.stores.records import (
    ROWS_A_RECORD,
    Record,
    merged,
    relabelling,
    replay,
    rows_added,
)
from tensorflow_similarity.stores.row_files import (
    DataFile,
    SharedBlock,
    StoredItems,
    VectorFile,
)
from tensorflow_similarity.stores.snapshot import StoreSnapshot, empty_snapshot

# Vectors and data of a change up to this size go into the log too: then one waiting
# for the disk is enough, for the log. They leave it when changes are merged.
_SMALL = 64 * 1024
# Changes one by one are merged when there are so many: replaying them takes 20 ms.
_MERGED_AT = 256
# Mappings of the vector file, each of which takes a file descriptor.
_MAPPINGS = 64


class StoreFolder:
    """The folder, open for writing.

    Args:
        folder: where it is or will be.
        durable: whether a change is on the disk when it returns.
        shares: whether a new store may lie among files of others.

    Raises:
        FileExistsError: if the folder holds something else.
        OSError, RuntimeError, ValueError: as `ChangeLog`.
    """

    def __init__(self, folder: Path, durable: bool, shares: bool = False):
        self.folder = folder
        self._durable = durable
        check_place(folder, shares)
        self._log = ChangeLog(folder, durable)
        try:
            if self._log.is_new:
                self._begin()
            self._open(*self._log.read())
        except BaseException:
            self._log.close()
            raise

    def _begin(self) -> None:
        if row_files(self.folder):
            raise damaged(self.folder, f"{FILE} is empty")
        files = {"vectors": 0, "data": 0, "data_end": 0}
        self._log.commit([], head_of(files, empty_snapshot(0), 0, 0))

    def _open(self, head: Head, records: list[Record]) -> None:
        check_head(self.folder, head)
        self._head = head
        self._vectors = opened(VectorFile, self.folder, head["vectors"], head["rows"])
        self._data = opened(DataFile, self.folder, head["data"], head["data_end"])
        # What stood in the log only, because the power failed.
        for record in records:
            if "rows" in record:
                rows = np.frombuffer(record["rows"], np.float32)
                self._vectors.write_rows(rows.reshape(-1, head["dim"]), record["first"])
            if "blobs" in record:
                self._data.write(record["blobs"], record["at"])
        replayed = replay(head, records)
        self._offsets = None if replayed.offsets is None else _column(replayed.offsets)
        self._last: StoreSnapshot | None = snapshot_in(
            self.folder, head, replayed, self._vectors, self._data
        )
        # What was written and then not kept, because the program ended.
        self._cut(head)
        self._remove_others()
        self._unsynced = True
        self._n_mappings = 1
        self._merged = len(self._log.entries)

    @property
    def snapshot(self) -> StoreSnapshot:
        """The facts as they are kept.

        Raises:
            RuntimeError: if an interruption left open what they are.
        """
        if self._last is None:
            raise RuntimeError(
                f"A change of the store in {str(self.folder)!r} was interrupted while "
                "it was written. Close the store and open it again."
            )
        return self._last

    def _writable(self, before: StoreSnapshot) -> None:
        if not self._log.is_open:
            raise RuntimeError(
                f"The store in {str(self.folder)!r} was closed, or opened before this "
                "process was forked. Open it again in the process that is to write."
            )
        if self.snapshot is not before:
            raise RuntimeError(
                f"A change of the store in {str(self.folder)!r} was kept, and "
                "interrupted before it showed. Close the store and open it again."
            )

    # Changes that go behind the others.

    def append(
        self, change: Added | Removed | Relabelled, after: StoreSnapshot
    ) -> StoreSnapshot:
        """Keeps a change; returns the facts to go on with."""
        before = self.snapshot
        self._writable(before)
        head, present = self._head, self._log.entries
        first, self._last = before.vectors.size, None
        try:
            if isinstance(change, Added):
                records, new, offsets = self._add(change, before, after)
            else:
                offsets, new = (
                    self._offsets,
                    head_of(head, after, head["tail"], after.vectors.dim),
                )
                if isinstance(change, Removed):
                    records = [{"first": first, "n": 0, "removed": change.rows}]
                else:
                    records = [relabelling(first, change.rows, change.labels)]
            self._log.commit(records, new)
        except BaseException:
            if self._log.entries is present and not self._log.unsure:
                with contextlib.suppress(OSError):
                    self._cut(head)
                self._last = before
            raise
        self._head, self._offsets = new, offsets
        after = replace(after, items=self._items(after.vectors.size))
        after = replace(after, vectors=self._in_file(after.vectors, first))
        if len(self._log.entries) - self._merged > _MERGED_AT:
            self._merge(after)
        self._last = after
        return after

    def _add(
        self, change: Added, before: StoreSnapshot, after: StoreSnapshot
    ) -> tuple[list[Record], Head, Column | None]:
        """Writes vectors and data; what the log is to say, and where data stand."""
        items, head = change.items, self._head
        first, size = before.vectors.size, after.vectors.size
        at = end = head["data_end"]
        offsets = self._offsets
        self._vectors.write_rows(items.embeddings, first)
        placed = np.full(len(items), -1)
        if items.data is not None:
            placed, end = self._data.append(items.data, len(items), at)
        if offsets is not None or end > at:
            offsets = offsets or _column(np.full(first, -1))
            offsets = offsets.append(placed)
        records = rows_added(after, first, None if offsets is None else offsets.values)
        height, parts = rows_per_block(after.vectors.dim), after.vectors.parts
        filled = range(first // height, size // height)
        if filled:
            blocks = [parts[number].checksum(height) for number in filled]
            records[-1]["blocks"] = np.array(blocks, np.int64)
        if after.vectors.n_dead > before.vectors.n_dead and items.ids is not None:
            replaced = before.rows_of_ids(items.ids)
            records[-1]["removed"] = replaced[replaced >= 0]
        tail = parts[-1].checksum(size % height) if size % height else 0
        new = head_of({**head, "data_end": end}, after, tail, after.vectors.dim)
        self._unsynced = True
        if self._durable and items.embeddings.nbytes + end - at <= _SMALL:
            records[-1]["rows"] = items.embeddings.tobytes()
            if end > at:
                records[-1] |= {"at": at, "blobs": self._data.read(end - at, at)}
        elif self._durable:
            self._sync()
        return records, new, offsets

    def _items(self, n: int) -> Items:
        chunk = None
        if self._offsets is not None:
            chunk = StoredItems(self._data, self._offsets.values)
        return Items().append(chunk, n)

    def _in_file(self, vectors: Vectors, first: int) -> Vectors:
        """The view with the blocks that became full mapped from the file."""
        height = rows_per_block(vectors.dim)
        start, end = first // height, vectors.size // height
        if start == end:
            return vectors
        parts: list[Any] = list(vectors.parts)
        # Everything is kept already: where it cannot be mapped, it stays in memory.
        with contextlib.suppress(OSError):
            parts[start:end] = self._vectors.take_over(
                start, parts[start:end], vectors.dim
            )
            self._n_mappings += 1
            full = parts[:end]
            if self._n_mappings > _MAPPINGS and all(
                isinstance(part, SharedBlock) for part in full
            ):
                self._vectors.gather(0, full, vectors.dim)
                self._n_mappings = 1
        return replace(vectors, parts=tuple(parts))

    def _merge(self, snapshot: StoreSnapshot) -> None:
        """Makes the last changes one, and those before while they are no larger.

        As binary numbers carry: each row is written about log2(n) times in all.
        """
        entries = self._log.entries
        start, weight = len(entries) - 1, entries[-1].weight
        while start and entries[start - 1].weight <= weight:
            if weight + entries[start - 1].weight > ROWS_A_RECORD:
                break
            start -= 1
            weight += entries[start].weight
        # The change itself is kept: if this fails it is done later.
        with contextlib.suppress(OSError, RuntimeError, ValueError):
            if start < len(entries) - 1:
                offsets = None if self._offsets is None else self._offsets.values
                record = merged(self._log.records(start), snapshot, offsets)
                self._sync()
                self._log.commit([record], self._head, keep=start)
        self._merged = len(self._log.entries)

    # Changes after which everything is written anew.

    def rewrite(
        self,
        after: StoreSnapshot,
        source: StoreSnapshot | None = None,
        rows: np.ndarray | None = None,
        same_data: bool = False,
    ) -> StoreSnapshot:
        """Writes everything into new files; returns the facts to go on with.

        Args:
            source: where vectors and data are read. Defaults to None: `after`.
            rows: its rows in the order of `after`. Defaults to None: all.
            same_data: whether the user data stay where they are.
        """
        before, old, present = self.snapshot, self._head, self._log.entries
        self._writable(before)
        source = source or after
        rows = np.arange(source.vectors.size) if rows is None else rows
        self._last = None
        number = max(old["vectors"], old["data"]) + 1
        try:
            vectors = opened(VectorFile, self.folder, number, 0, new=True)
            blocks, tail = _copied(source.vectors, rows, vectors)
            data, offsets, end = self._data, self._offsets, old["data_end"]
            if not same_data:
                data = opened(DataFile, self.folder, number, 0, new=True)
                items = (source.items[row] for row in rows.tolist())
                empty = source.items.is_empty()
                placed, end = data.append(() if empty else items, len(rows), 0)
                offsets = _column(placed) if end else None
            files = {
                "vectors": number,
                "data": old["data"] if same_data else number,
                "data_end": end,
            }
            records = rows_added(after, 0, None if offsets is None else offsets.values)
            records[-1]["blocks"] = np.array(blocks, np.int64)
            if after.vectors.dead is not None:
                records[-1]["removed"] = np.flatnonzero(after.vectors.dead)
            head = head_of(files, after, tail, source.vectors.dim)
            if self._durable:
                vectors.sync()
                data.sync()
                sync_folder(self.folder)
            self._log.commit(records, head, keep=0)
        except BaseException:
            if self._log.entries is present and not self._log.unsure:
                self._remove_others()
                self._last = before
            raise
        self._head, self._offsets = head, offsets
        self._vectors, self._data = vectors, data
        self._remove_others()
        self._log.tidy()
        self._n_mappings = 1
        self._merged = len(self._log.entries)
        dead = after.vectors.dead
        none = np.zeros(len(rows), bool)
        self._last = replace(
            after,
            vectors=vectors_in(head, none if dead is None else dead, blocks, vectors),
            items=self._items(len(rows)),
        )
        return self._last

    def vacuum(self) -> StoreSnapshot:
        """Leaves out the removed rows, which go from file to file, not by memory."""
        before = self.snapshot
        vectors = before.vectors
        gone = np.ones(vectors.size, bool)
        gone[vectors.alive_rows()] = False
        narrow = Vectors(1).append(np.zeros((vectors.size, 1), np.float32))
        columns = replace(
            before,
            vectors=narrow.remove(np.flatnonzero(gone)),
            items=Items().append(None, vectors.size),
        )
        return self.rewrite(columns.compacted(), before, vectors.alive_rows())

    # Files.

    def _cut(self, head: Head) -> None:
        """Cuts off what the log does not name."""
        for file, size in (
            (self._vectors, head["rows"] * 4 * head["dim"]),
            (self._data, head["data_end"]),
        ):
            if file.size > size:
                file.cut(size)

    def _remove_others(self) -> None:
        """Removes files of ours that the log does not name."""
        named = {name_of(VectorFile, self._head["vectors"])}
        named.add(name_of(DataFile, self._head["data"]))
        for file in row_files(self.folder):
            if file.name not in named:
                with contextlib.suppress(OSError):
                    file.unlink()

    def _sync(self) -> None:
        if self._unsynced:
            self._vectors.sync()
            self._data.sync()
            self._unsynced = False

    def flush(self) -> None:
        """Sees to it that everything is on the disk."""
        if self._log.is_open:
            self._sync()
            self._log.flush()

    def close(self) -> None:
        """Lets others write; the facts stay readable. May be called again."""
        try:
            if self._log.is_open:
                self._sync()
        finally:
            self._log.close()


def _copied(
    vectors: Vectors, rows: np.ndarray, file: VectorFile
) -> tuple[list[int], int]:
    """Writes rows of a view; the checksums of full blocks, and of the last one."""
    height = rows_per_block(vectors.dim)
    checksums = []
    for first in range(0, len(rows), height):
        part = vectors.take(rows[first : first + height])
        file.write_rows(part, first)
        checksums.append(zlib.crc32(part.tobytes()))
    tail = checksums.pop() if len(rows) % height else 0
    return checksums, tail


def _column(values: np.ndarray) -> Column:
    return Column(values[:0]).append(values)
