"""What SQLite says, as errors of Python that name the cure."""

import contextlib
import errno
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from tensorflow_similarity._core.files import damaged


@contextlib.contextmanager
def told(file: Path) -> Iterator[None]:
    """What SQLite says, in errors of Python that name the cure."""
    try:
        yield
    except sqlite3.Error as error:
        # The lower byte is the kind, the others say more.
        code = getattr(error, "sqlite_errorcode", 0)
        kind = code & 0xFF
        name = str(file)
        if kind in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise RuntimeError(
                f"{name!r} is locked by another process ({error}). Close it there."
            ) from error
        if kind == sqlite3.SQLITE_FULL:
            text = "The disk is full; nothing was changed"
            raise OSError(errno.ENOSPC, text, name) from error
        if kind == sqlite3.SQLITE_IOERR and code != sqlite3.SQLITE_IOERR_SHORT_READ:
            text = f"The disk does not do its work ({error}); nothing was changed"
            raise OSError(errno.EIO, text, name) from error
        if kind in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM):
            text = "The file is read-only; nothing was changed"
            raise PermissionError(errno.EACCES, text, name) from error
        if kind == sqlite3.SQLITE_CANTOPEN:
            text = (
                "SQLite cannot open the file, or files beside it. In a folder that is "
                "read-only, after a writer was ended: open it once for writing"
            )
            raise PermissionError(errno.EACCES, text, name) from error
        if kind == sqlite3.SQLITE_TOOBIG:
            raise ValueError(
                "The labels, ids and metadata of one call exceed what SQLite keeps in "
                "one row, 1 GB. Add fewer items at once."
            ) from error
        raise damaged(file.parent, f"{file.name} cannot be read ({error})") from error
