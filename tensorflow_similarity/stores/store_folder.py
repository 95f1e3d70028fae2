"""The folder of a store that keeps its facts on disk: a log, vectors and user data.

A change is first appended to the files of vectors and data, which nobody reads beyond
the length that the log names, and then written into the log in one transaction. New
row numbers or new embeddings get new files, and the log then begins anew.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from tensorflow_similarity._core.columns import Items
from tensorflow_similarity._core.files import damaged
from tensorflow_similarity._core.vectors import Vectors, rows_per_block
from tensorflow_similarity.stores.change_log import FILE, ChangeLog, Head
from tensorflow_similarity.stores.changes import Added, Relabelled, Removed
from tensorflow_similarity.stores.folder_facts import (
    check_head,
    check_place,
    head_of,
    place_in,
    row_files,
    snapshot_in,
    sync_folder,
    vectors_in,
)
from tensorflow_similarity.stores.kept_rows import KeptRows, copied, redone
from tensorflow_similarity.stores.records import (
    ROWS_A_RECORD,
    Record,
    merged,
    relabelling,
    replay,
    rows_added,
)
from tensorflow_similarity.stores.row_files import DataFile, VectorFile
from tensorflow_similarity.stores.snapshot import StoreSnapshot, empty_snapshot

# Vectors and data of a change up to this size go into the log too: then one waiting
# for the disk is enough, for the log. They leave it when changes are merged.
_SMALL = 64 * 1024
# Changes one by one are merged when there are so many: replaying them takes 20 ms.
_MERGED_AT = 256


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
        vectors, data = redone(self.folder, head, records)
        replayed = replay(head, records)
        # What the facts are; None while that is open.
        self._last: StoreSnapshot | None = snapshot_in(
            self.folder, head, replayed, vectors, data
        )
        self._files = KeptRows(vectors, data, replayed.offsets, head["data_end"])
        # What was written and then not kept, because the program ended.
        self._files.cut(head["rows"], head["dim"])
        self._remove_others()
        if self._durable:
            sync_folder(self.folder)
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

    @property
    def is_open(self) -> bool:
        """Whether this process may write."""
        return self._log.is_open

    def check_open(self) -> None:
        """Raises RuntimeError where this process may not write."""
        if not self.is_open:
            raise RuntimeError(
                f"The store in {str(self.folder)!r} was closed, or opened before this "
                "process was forked. Open it again in the process that is to write."
            )

    def _check(self, before: StoreSnapshot) -> None:
        self.check_open()
        if self.snapshot is not before:
            raise RuntimeError(
                f"A change of the store in {str(self.folder)!r} was kept, and "
                "interrupted before it showed. Close the store and open it again."
            )

    # Changes that go behind the others.

    def append(
        self,
        change: Added | Removed | Relabelled,
        before: StoreSnapshot,
        after: StoreSnapshot,
    ) -> StoreSnapshot:
        """Keeps a change; returns the facts to go on with."""
        self._check(before)
        first, files, head = before.vectors.size, self._files, self._head
        with self._all_or_nothing(before):
            if isinstance(change, Added):
                files = self._files.added(change.items, first)
                records, tail = self._records_of(change, before, after, files)
                head = head_of(
                    {**head, "data_end": files.end}, after, tail, after.vectors.dim
                )
            else:
                head = head_of(head, after, head["tail"], after.vectors.dim)
                if isinstance(change, Removed):
                    records = [{"first": first, "n": 0, "removed": change.rows}]
                else:
                    records = [relabelling(first, change.rows, change.labels)]
            self._log.commit(records, head)
        self._head, self._files = head, files
        after = replace(
            after,
            items=files.items(after.vectors.size),
            vectors=files.in_file(after.vectors, first),
        )
        if len(self._log.entries) - self._merged > _MERGED_AT:
            self._merge(after)
        self._last = after
        return after

    @contextlib.contextmanager
    def _all_or_nothing(self, before: StoreSnapshot) -> Iterator[None]:
        """A failure within leaves files and facts as they were, if that is certain."""
        present, self._last = self._log.entries, None
        try:
            yield
        except BaseException:
            if self._log.entries is present and not self._log.unsure:
                with contextlib.suppress(OSError):
                    self._files.cut(self._head["rows"], self._head["dim"])
                self._remove_others()
                self._last = before
            raise

    def _records_of(
        self,
        change: Added,
        before: StoreSnapshot,
        after: StoreSnapshot,
        files: KeptRows,
    ) -> tuple[list[Record], int]:
        """What the log is to say of new rows, and the checksum of the last block."""
        items, first, size = change.items, before.vectors.size, after.vectors.size
        records = rows_added(after, first, files.offsets)
        last, parts = records[-1], after.vectors.parts
        height = rows_per_block(after.vectors.dim)
        filled = range(first // height, size // height)
        if filled:
            blocks = [parts[number].checksum(height) for number in filled]
            last["blocks"] = np.array(blocks, np.int64)
        if after.vectors.n_dead > before.vectors.n_dead and items.ids is not None:
            replaced = before.rows_of_ids(items.ids)
            last["removed"] = replaced[replaced >= 0]
        written = items.embeddings.nbytes + files.end - self._files.end
        if self._durable and written <= _SMALL:
            last |= files.redo(self._files, items)
        elif self._durable:
            files.sync()
        return records, parts[-1].checksum(size % height) if size % height else 0

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
                late = self._log.records(start)
                record = merged(late, snapshot, self._files.offsets)
                self._files.sync()
                self._log.commit([record], self._head, keep=start)
        self._merged = len(self._log.entries)

    # Changes after which everything is written anew.

    def rewrite(
        self,
        before: StoreSnapshot,
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
        self._check(before)
        old, source = self._head, source or after
        rows = np.arange(source.vectors.size) if rows is None else rows
        number = max(old["vectors"], old["data"]) + 1
        with self._all_or_nothing(before):
            files, blocks, tail = copied(
                source, rows, self.folder, number, self._files if same_data else None
            )
            records = rows_added(after, 0, files.offsets)
            records[-1]["blocks"] = np.array(blocks, np.int64)
            dead = after.vectors.dead
            if dead is not None:
                records[-1]["removed"] = np.flatnonzero(dead)
            data = old["data"] if same_data else number
            named = {"vectors": number, "data": data, "data_end": files.end}
            head = head_of(named, after, tail, source.vectors.dim)
            if self._durable:
                files.sync()
                sync_folder(self.folder)
            self._log.commit(records, head, keep=0)
        self._head, self._files = head, files
        self._remove_others()
        self._log.tidy()
        self._merged = len(self._log.entries)
        dead = np.zeros(len(rows), bool) if dead is None else dead
        self._last = replace(
            after,
            vectors=vectors_in(head, dead, blocks, files.vectors),
            items=files.items(len(rows)),
        )
        return self._last

    def vacuum(self, before: StoreSnapshot) -> StoreSnapshot:
        """Leaves out removed rows; the others go from file to file, not by memory."""
        vectors = before.vectors
        gone = np.ones(vectors.size, bool)
        gone[vectors.alive_rows()] = False
        narrow = Vectors(1).append(np.zeros((vectors.size, 1), np.float32))
        columns = replace(
            before,
            vectors=narrow.remove(np.flatnonzero(gone)),
            items=Items().append(None, vectors.size),
        )
        rows = vectors.alive_rows()
        return self.rewrite(before, columns.compacted(), before, rows)

    # Files.

    def _remove_others(self) -> None:
        """Removes files of ours that the log does not name."""
        head = self._head
        named = {
            place_in(self.folder, VectorFile, head["vectors"]),
            place_in(self.folder, DataFile, head["data"]),
        }
        for file in row_files(self.folder):
            if file not in named:
                with contextlib.suppress(OSError):
                    file.unlink()

    def flush(self) -> None:
        """Sees to it that everything is on the disk."""
        if self._log.is_open:
            self._files.sync()
            self._log.flush()

    def close(self) -> None:
        """Lets others write; the facts stay readable. May be called again."""
        try:
            if self._log.is_open:
                self._files.sync()
        finally:
            self._log.close()
