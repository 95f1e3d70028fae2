"""One process at a time writes to a folder."""

import os
from pathlib import Path

LOCK = "writer.lock"


class FolderInUse(RuntimeError):
    """Somebody else writes to the folder."""


def lock_folder(folder: Path) -> int:
    """A lock that ends with the process; its number for `unlock_folder`."""
    try:
        import fcntl
    except ImportError as error:
        raise RuntimeError(
            "A SQLiteStore needs the file locks of Linux and macOS. Use a MemoryStore "
            "and save it."
        ) from error
    try:
        number = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise type(error)(
            error.errno,
            f"A store cannot be written here ({error.strerror}); `read_only=True` "
            "reads one",
            str(folder),
        ) from error
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(number)
        raise FolderInUse(
            f"The store in {str(folder)!r} is open for writing already, in this or "
            "another process. Close that one, or open this one with `read_only=True`."
        ) from None
    return number


def unlock_folder(number: int) -> None:
    """Ends the lock."""
    import fcntl

    # A process that was forked past our hook may still hold the file open.
    fcntl.flock(number, fcntl.LOCK_UN)
    os.close(number)
