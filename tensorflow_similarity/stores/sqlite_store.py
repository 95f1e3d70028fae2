"""Everything in a folder on disk, kept change by change."""

import logging
import os
import threading
import weakref
from contextvars import ContextVar
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import keras

from tensorflow_similarity.stores.changes import (
    Added,
    Change,
    Embedded,
    Relabelled,
    Removed,
)
from tensorflow_similarity.stores.folder_facts import read_folder
from tensorflow_similarity.stores.snapshot import StoreSnapshot
from tensorflow_similarity.stores.store import Store
from tensorflow_similarity.stores.store_folder import StoreFolder
from tensorflow_similarity.stores.writer_lock import FolderInUse

logger = logging.getLogger(__name__)

# Whether a folder that somebody writes to is opened for reading instead of refused.
_reads_if_in_use = ContextVar("_reads_if_in_use", default=False)


@keras.saving.register_keras_serializable(package="tensorflow_similarity")
class SQLiteStore(Store):
    """Keeps everything in a folder; each change is there for good when it returns.

    What changed is a transaction of SQLite, in `store.sqlite`; embeddings and user
    data stand in files beside it. Embeddings are mapped into memory, user data read
    when they are looked at, so that a store larger than memory opens at once. A block
    of embeddings or an item of data that is not as it was written is an error when it
    is first used.

    One process writes, any number reads with `read_only=True`, even in a folder that
    cannot be written to; a reader sees what was there when it was opened. Any number
    of threads may read while one writes. After a fork the child reads on, and only
    the parent may write. A saved index that is loaded while its store is open for
    writing only reads it. The files of removed items shrink with `vacuum`.

    Args:
        path: the folder. A new one is made, an empty one taken.
        read_only: whether to open what is there without changing it. Defaults to
            False. The attribute `read_only` is True also where a loaded index found
            its store in use; the configuration keeps what was asked for here, so
            that an index saved from there can be changed when it is loaded later.
        durable: whether a change waits until the disk has it (4 ms on a virtual
            disk). Without, the end of the program still loses nothing, but a power
            failure may lose or damage the store. Defaults to True.
        name: string. Defaults to "sqlite".
        verbose: int; accepted as existing programs pass it, not used.

    Raises:
        FileExistsError: if the path holds something else.
        FileNotFoundError: for `read_only` where no store is.
        RuntimeError: if another one has it open for writing.
        ValueError: if it is damaged or newer than this library.
        OSError: if the folder cannot be written to.

    Example:
        >>> import tempfile
        >>> folder = tempfile.mkdtemp()
        >>> with SQLiteStore(folder) as store:
        ...     key = store.add([0.0, 1.0], label="cat", data={"page": 3})
        >>> again = SQLiteStore(folder, read_only=True)
        >>> again.get(key)[1:]
        ('cat', {'page': 3})
    """

    default_name = "sqlite"
    persistent = True
    _shares = False

    def __init__(
        self,
        path: str | Path,
        read_only: bool = False,
        durable: bool = True,
        name: str | None = None,
        verbose: int = 0,
    ):
        super().__init__(name, verbose)
        self.path = os.fspath(path)
        self.read_only = read_only
        self._read_only_wanted = read_only
        self.durable = durable
        # As it is now, wherever the program goes later.
        self._place = Path(path).absolute()
        self._folder: StoreFolder | None = None
        self._writing = threading.RLock()
        if read_only:
            self._snapshot = read_folder(self._place)
            return
        try:
            self._folder = StoreFolder(self._place, durable, self._shares)
        except FolderInUse:
            if not _reads_if_in_use.get():
                raise
            logger.info("The store in %r is in use, so it is only read.", self.path)
            self.read_only = True
            self._snapshot = read_folder(self._place)
            return
        self._snapshot = self._folder.snapshot
        # Also when the program ends without closing it.
        self._end = weakref.finalize(self, self._folder.close)

    # Changes.

    def _commit(self, change: Change) -> StoreSnapshot:
        # Asked first: a process that was forked may never get the lock.
        self._writable()
        with self._writing:
            return super()._commit(change)

    def _record(self, change: Change, after: StoreSnapshot) -> StoreSnapshot:
        folder, before = self._writable(), self._snapshot
        if isinstance(change, Added | Removed | Relabelled):
            return folder.append(change, before, after)
        return folder.rewrite(before, after, same_data=isinstance(change, Embedded))

    def _writable(self) -> StoreFolder:
        if self._folder is None:
            if not self._read_only_wanted:
                raise RuntimeError(
                    f"The store in {self.path!r} was in use when the saved index was "
                    "loaded, so here it can only be read. Close the other one with "
                    "`model.indexer.store.close()`, and load again to change it."
                )
            raise RuntimeError(
                f"The store in {self.path!r} was opened with `read_only=True`. Open it "
                "without to change it."
            )
        self._folder.check_open()
        return self._folder

    def vacuum(self) -> int:
        folder = self._writable()
        with self._writing:
            n = self._snapshot.vectors.n_dead
            if n:
                self._snapshot = folder.vacuum(self._snapshot)
        return n

    # Files.

    def save(self, path: str | Path, compression: bool = True) -> None:
        """Writes a copy to the folder `path`; to its own: what is not there yet."""
        if self._is_own(path):
            self.flush()
        else:
            super().save(path, compression)

    def load(self, path: str | Path) -> int:
        """Reads what `save` wrote, in place of what is here; returns the size.

        From its own folder: nothing is read, since all of it is here.
        """
        if self._is_own(path):
            return len(self)
        return super().load(path)

    def _is_own(self, path: str | Path) -> bool:
        return Path(path).resolve() == self._place.resolve()

    def flush(self) -> None:
        """Waits until the disk has everything; of use with `durable=False`."""
        if self._folder is not None:
            self._folder.flush()

    def close(self) -> None:
        """Lets others write. What is here can be read on, but not changed."""
        if self._folder is not None and self._folder.is_open:
            with self._writing:
                self._folder.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "path": str(Path(self.path).resolve()),
            "read_only": self._read_only_wanted,
            "durable": self.durable,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """The store of a saved index; only to read if another one writes to it."""
        token = _reads_if_in_use.set(True)
        try:
            return super().from_config(config)
        finally:
            _reads_if_in_use.reset(token)


@keras.saving.register_keras_serializable(package="tensorflow_similarity")
class CachedStore(SQLiteStore):
    """`SQLiteStore` under the name and with the arguments of earlier versions.

    The folder may hold other files. What earlier versions wrote there, `cache0.dat`
    and the like, holds pickles and is neither read nor touched.

    Args:
        shard_size: accepted as existing programs pass it, not used.
        path: the folder. Defaults to the one in which the program runs.
        num_items: accepted as existing programs pass it, not used.
        name: string. Defaults to "cached".
        verbose: int; accepted as existing programs pass it, not used.
    """

    default_name = "cached"
    _shares = True

    def __init__(
        self,
        shard_size: int = 1_000_000,
        path: str | Path = ".",
        num_items: int = 0,
        name: str = "cached",
        verbose: int = 0,
    ):
        super().__init__(path, name=name, verbose=verbose)
        self.shard_size = shard_size
        self.num_items = num_items

    def load(self, path: str | Path) -> int:
        """As `SQLiteStore.load`; never reads the pickles of earlier versions."""
        if not self._is_own(path) and (Path(path) / "cache0.dat").exists():
            raise ValueError(
                f"{str(path)!r} holds pickles of TF Similarity 0.17 or 0.18, which are "
                "never read because they can run code. Make the index again from your "
                "data."
            )
        return super().load(path)

    def get_config(self) -> dict[str, Any]:
        return {
            "shard_size": self.shard_size,
            "path": str(Path(self.path).resolve()),
            "num_items": self.num_items,
            "name": self.name,
            "verbose": self.verbose,
        }
