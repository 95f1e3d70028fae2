"""The changes of a store, in order, in an SQLite file: read whole, written in lots.

Two tables: `log` holds one change a row, `head` one row of facts about all of it. The
checksum of a change covers its number, its content and the checksum before it, and
the head names the last one, so that nothing can be changed, lost or cut unseen.
"""

import contextlib
import ctypes
import os
import sqlite3
import struct
import weakref
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tensorflow_similarity._core.files import damaged
from tensorflow_similarity._core.items import decode, encode
from tensorflow_similarity._version import __version__
from tensorflow_similarity.stores.records import Record, weight_of
from tensorflow_similarity.stores.sqlite_errors import told
from tensorflow_similarity.stores.writer_lock import LOCK, lock_folder, unlock_folder

FILE = "store.sqlite"
#: Every file that SQLite and the lock may leave in the folder.
OWN_FILES = (FILE, f"{FILE}-wal", f"{FILE}-shm", f"{FILE}-journal", LOCK)
FORMAT = 1
_APPLICATION = 0x74667373  # "tfss"
_TABLES = """
CREATE TABLE log (seq INTEGER PRIMARY KEY, content BLOB, crc INTEGER);
CREATE TABLE head (id INTEGER PRIMARY KEY, content BLOB, crc INTEGER);
"""
_LINK = struct.Struct("<QQ")

Head = dict[str, Any]


@dataclass(frozen=True)
class Entry:
    """What is remembered of a change: rows before it, rows it names, its checksum."""

    first: int
    weight: int
    crc: int


class ChangeLog:
    """The log, open for writing: one process at a time, one thread at a time.

    Args:
        folder: where it is; there already.
        durable: whether a change is on the disk when `commit` returns, or left to the
            operating system.

    Raises:
        RuntimeError: if another one writes.
        ValueError: if the file is damaged, of a newer format, or not ours.
        OSError: if the folder cannot be written to.
    """

    def __init__(self, folder: Path, durable: bool):
        self.file = folder / FILE
        self.entries: list[Entry] = []
        #: Whether an interruption left open what is on the disk.
        self.unsure = False
        #: Whether nothing was ever written.
        self.is_new = False
        self._lock: int | None = lock_folder(folder)
        self._connection: sqlite3.Connection | None = None
        try:
            with told(self.file):
                self._connection = self._connected(durable)
        except BaseException:
            self.close()
            raise
        _OPEN.add(self)

    def _connected(self, durable: bool) -> sqlite3.Connection:
        # Threads may take turns; the store lets one in at a time.
        connection = sqlite3.connect(
            self.file, isolation_level=None, check_same_thread=False
        )
        with _closed_if_failing(connection):
            self.is_new = not _check_ours(connection, self.file)
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
            # A wrong list of free pages would let the next change overwrite others.
            if connection.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
                raise damaged(self.file.parent, f"{FILE} is not as it was written")
        return connection

    @property
    def is_open(self) -> bool:
        """Whether this process may write."""
        return self._connection is not None

    def _execute(self, statement: str, values: tuple[Any, ...] = ()) -> sqlite3.Cursor:
        return self._connection.execute(statement, values)  # type: ignore[union-attr]

    def read(self) -> tuple[Head, list[Record]]:
        """The head and the changes."""
        with told(self.file):
            head, records, crcs = _contents(self._connection, self.file)
        self.entries = [
            Entry(record["first"], weight_of(record), crc)
            for record, crc in zip(records, crcs, strict=True)
        ]
        return head, records

    def records(self, start: int) -> list[Record]:
        """The changes from number `start` on, counted from 0."""
        statement = "SELECT content FROM log WHERE seq > ? ORDER BY seq"
        with told(self.file):
            return [decode(row[0]) for row in self._execute(statement, (start,))]

    def commit(
        self, records: Sequence[Record], head: Head, keep: int | None = None
    ) -> None:
        """Writes changes and the head, all or nothing.

        Args:
            keep: only the first so many of the present changes stay. Defaults to
                None: all.

        Raises:
            OSError, ValueError, RuntimeError: if it cannot; nothing has changed then,
                unless `unsure` says that this is not known.
        """
        entries = self.entries[:keep]
        with told(self.file):
            try:
                self._execute("BEGIN IMMEDIATE")
                if self.is_new:
                    self._make_tables()
                if len(entries) < len(self.entries):
                    self._execute("DELETE FROM log WHERE seq > ?", (len(entries),))
                for record in records:
                    content = encode(record)
                    before = entries[-1].crc if entries else 0
                    crc = _chained(len(entries) + 1, content, before)
                    entries.append(Entry(record["first"], weight_of(record), crc))
                    row = (len(entries), content, crc)
                    self._execute("INSERT INTO log VALUES (?, ?, ?)", row)
                last = entries[-1].crc if entries else 0
                content = encode({**head, "entries": len(entries), "last": last})
                row = (1, content, zlib.crc32(content))
                self._execute("INSERT OR REPLACE INTO head VALUES (?, ?, ?)", row)
                self._execute("COMMIT")
                self.entries, self.is_new = entries, False
            except BaseException as error:
                self._take_back(error)
                raise

    def _make_tables(self) -> None:
        for statement in _TABLES.strip().splitlines():
            self._execute(statement)
        self._execute(f"PRAGMA application_id={_APPLICATION}")
        self._execute(f"PRAGMA user_version={FORMAT}")

    def _take_back(self, error: BaseException) -> None:
        if self._connection is None:
            return
        if self._connection.in_transaction:
            self._execute("ROLLBACK")
        elif not isinstance(error, sqlite3.Error):
            # Interrupted from outside, perhaps just after the commit.
            self.unsure = True

    def tidy(self) -> None:
        """Frees the space of changes that went, and lets nothing of them stay."""
        # Everything is kept already; a full disk must not look like a failed change.
        with contextlib.suppress(sqlite3.Error):
            self._execute("VACUUM")
            self._execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def flush(self) -> None:
        """Sees to it that every change is on the disk."""
        with told(self.file):
            self._execute("PRAGMA wal_checkpoint(FULL)")

    def close(self) -> None:
        """Lets others write; may be called again."""
        connection, self._connection = self._connection, None
        lock, self._lock = self._lock, None
        try:
            if connection is not None:
                with told(self.file):
                    connection.close()
        finally:
            if lock is not None:
                unlock_folder(lock)

    def abandon(self) -> None:
        """Leaves the file to the process that this one was forked from."""
        connection, self._connection = self._connection, None
        lock, self._lock = self._lock, None
        if lock is not None:
            os.close(lock)  # without unlocking: the parent has the same lock
        if connection is not None:
            # SQLite forbids even closing it here: never freed.
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))


_OPEN: "weakref.WeakSet[ChangeLog]" = weakref.WeakSet()


def _abandon_all() -> None:
    for log in list(_OPEN):
        log.abandon()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_abandon_all)


def read_log(folder: Path) -> tuple[Head, list[Record]]:
    """The head and the changes as they are now, without any right to write.

    Raises:
        FileNotFoundError: if there is no store.
        ValueError, OSError, RuntimeError: as `ChangeLog`.
    """
    file = folder / FILE
    if not file.is_file():
        raise FileNotFoundError(
            f"There is no {FILE} in {str(folder)!r}. Expected a folder that a "
            "SQLiteStore wrote; open it without `read_only` to begin one."
        )
    # Without a write-ahead log the file is all there is, and read as it is: SQLite
    # would leave a log of its own here, and could not in a folder that is read-only.
    log = folder / f"{FILE}-wal"
    alone = not log.is_file() or not log.stat().st_size
    address = f"{file.absolute().as_uri()}?mode=ro{'&immutable=1' if alone else ''}"
    with told(file), contextlib.closing(sqlite3.connect(address, uri=True)) as opened:
        opened.isolation_level = None
        _check_ours(opened, file)
        opened.execute("BEGIN")
        head, records, _ = _contents(opened, file)
        return head, records


def state_of(folder: Path) -> list[tuple[int, int] | None]:
    """What differs when the files of the log were written to in between."""
    found: list[tuple[int, int] | None] = []
    for name in (FILE, f"{FILE}-wal"):
        try:
            stat = (folder / name).stat()
        except FileNotFoundError:
            found.append(None)
        else:
            found.append((stat.st_mtime_ns, stat.st_size))
    return found


def _check_ours(connection: sqlite3.Connection, file: Path) -> bool:
    """Refuses what another program or version wrote; whether there is anything."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (number,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if not tables and not application and not number:
        return False
    if application != _APPLICATION:
        raise ValueError(
            f"{str(file)!r} was not written by this library, or is damaged. Give "
            "another path, or restore it from a copy."
        )
    if number > FORMAT:
        raise ValueError(
            f"{str(file)!r} has format {number}, this version ({__version__}) reads "
            f"formats up to {FORMAT}. Install a newer tensorflow_similarity."
        )
    return True


def _contents(
    connection: sqlite3.Connection | None, file: Path
) -> tuple[Head, list[Record], list[int]]:
    """Head, changes and their checksums, each one checked."""
    wrong = damaged(file.parent, f"{FILE} is not as it was written")
    heads = connection.execute(  # type: ignore[union-attr]
        "SELECT content, crc FROM head"
    ).fetchall()
    if len(heads) != 1 or not isinstance(heads[0][0], bytes):
        raise wrong
    content, crc = heads[0]
    if zlib.crc32(content) != crc:
        raise wrong
    head = decode(content)
    records: list[Record] = []
    crcs = [0]
    rows = connection.execute(  # type: ignore[union-attr]
        "SELECT seq, content, crc FROM log ORDER BY seq"
    )
    for seq, content, crc in rows:
        if seq != len(crcs) or not isinstance(content, bytes):
            raise wrong
        if _chained(seq, content, crcs[-1]) != crc:
            raise wrong
        records.append(decode(content))
        crcs.append(crc)
    if head["entries"] != len(records) or head["last"] != crcs[-1]:
        raise wrong
    return head, records, crcs[1:]


def _chained(seq: int, content: bytes, before: int) -> int:
    return zlib.crc32(content, zlib.crc32(_LINK.pack(seq, before)))


@contextlib.contextmanager
def _closed_if_failing(connection: sqlite3.Connection) -> Iterator[None]:
    try:
        yield
    except BaseException:
        connection.close()
        raise
