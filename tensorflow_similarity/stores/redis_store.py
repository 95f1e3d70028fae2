"""The facts on a Redis server, shared by any number of processes."""

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import keras
import numpy as np

from tensorflow_similarity.stores.changes import (
    Added,
    Change,
    Loaded,
    Relabelled,
    Removed,
)
from tensorflow_similarity.stores.redis_address import Address
from tensorflow_similarity.stores.redis_data import RemoteData
from tensorflow_similarity.stores.redis_log import Overtaken, Position, RedisLog
from tensorflow_similarity.stores.redis_records import (
    Lot,
    after_lot,
    lots_of,
)
from tensorflow_similarity.stores.redis_rewrite import rewritten
from tensorflow_similarity.stores.redis_server import Gone, RedisServer
from tensorflow_similarity.stores.snapshot import (
    NewItems,
    StoreSnapshot,
    empty_snapshot,
)
from tensorflow_similarity.stores.store import Store

# A log of fewer entries is read in well under a second, and not worth writing anew.
_LONG_LOG = 1_000
# Tries to be first before giving up, and the longest pause between two, in seconds.
_TRIES = 200
_PAUSE = 0.05

Result = TypeVar("Result")


@dataclass(frozen=True)
class _Taken:
    """How far the log was read, and what it says up to there; swapped as one.

    Args:
        lots: names of the lots that the log refers to: erased with it.
    """

    position: Position
    snapshot: StoreSnapshot
    lots: list[str] = field(default_factory=list)


@dataclass
class _Effort:
    """What one change has put on the server so far, through all its tries.

    Args:
        put: names of what expires unless the change comes about.
        lots: of items to be added: the same at each try.
        data: name of their user data.
    """

    put: list[str] = field(default_factory=list)
    lots: list[bytes | str] | None = None
    data: str | None = None


@keras.saving.register_keras_serializable(package="tensorflow_similarity")
class RedisStore(Store):
    """Keeps the items on a Redis server, for several programs at a time.

    All its keys begin with `prefix`; no other key is read or written. Embeddings,
    labels, ids and metadata are held in memory too, user data are fetched when they
    are looked at. Any number of stores, in one process or many, may write to one
    prefix at once: each change is whole, and made to what all others did before.
    What others wrote is taken over before each own change, and by `refresh`.

    The server must not evict keys (`maxmemory-policy noeviction`), and keeps them
    through its own restart only if it is told to (`appendonly yes`).

    Args:
        host: name or address of the server. Defaults to "localhost".
        port: int. Defaults to 6379, Redis' own.
        db: int, number of the data base there. Defaults to 0.
        name: string.
        verbose: int; accepted as existing programs pass it, not used.
        url: "redis://user@host:port/db", "rediss://..." for TLS (options such as
            `?ssl_ca_certs=/path` go behind it), or "unix:///path/to/socket"; in place
            of `host`, `port`, `db` and `ssl`. Defaults to None.
        username: string, for a server with users. Defaults to None.
        password: string. It is never saved. Defaults to None: what the environment
            variable TENSORFLOW_SIMILARITY_REDIS_PASSWORD holds, if anything.
        ssl: whether to speak TLS. Defaults to False.
        prefix: string. Each index needs its own. Defaults to
            "tensorflow_similarity:index".

    Raises:
        ImportError: without the package redis: `pip install redis`.
        ConnectionError: if the server cannot be reached.
        PermissionError: if it wants another user or password.
        ValueError: for a URL of something else, or a prefix whose keys are not ours,
            newer than this library, or damaged.
    """

    default_name = "redis"
    persistent = True

    def __init__(
        self,
        host: str = "localhost",
        port: int = 6379,
        db: int = 0,
        name: str = "redis",
        verbose: int = 0,
        url: str | None = None,
        username: str | None = None,
        password: str | None = None,
        ssl: bool = False,
        prefix: str = "tensorflow_similarity:index",
    ):
        super().__init__(name, verbose)
        if not isinstance(prefix, str) or not prefix:
            raise ValueError(
                f"`prefix` must be a string, not empty. Received: prefix={prefix!r}."
            )
        self.prefix = prefix
        if url is None:
            address = Address.of(host, port, db, username, password, ssl)
            self._where: dict[str, Any] = {
                "host": host,
                "port": int(port),
                "db": int(db),
                "username": username,
                "ssl": bool(ssl),
            }
        else:
            address = Address.from_url(url, username, password)
            self._where = {"url": address.url}
        self._server = RedisServer(address, prefix)
        self._log = RedisLog(self._server)
        self._take(_Taken(Position(), self._snapshot))
        self._effort = _Effort()
        self._lock = threading.RLock()
        self.refresh()

    def close(self) -> None:
        """Ends the connections to the server; the next use makes new ones."""
        self._server.client.close()

    def refresh(self) -> bool:
        """Takes over what other writers changed since.

        Returns:
            Whether there was anything.

        Raises:
            ConnectionError, PermissionError: if the server cannot be asked.
            RuntimeError: if it lost what it held.
            ValueError: if a record is damaged.
        """
        with self._lock:
            # An interrupt may have come between the two.
            self._snapshot = self._taken.snapshot
            while True:
                end = self._log.position()
                if end == self._taken.position:
                    return False
                try:
                    self._take_over(end)
                    return True
                except Gone as error:
                    # A new generation began while the old one was read.
                    if self._log.position().generation == end.generation:
                        raise self._server.lost(str(error)) from None

    def _take_over(self, end: Position) -> None:
        taken = self._taken
        start, snapshot, lots = taken.position, taken.snapshot, list(taken.lots)
        if start.generation and (
            not end.generation
            or (end.generation == start.generation and end.n <= start.n)
        ):
            raise self._server.other_history()
        if end.generation != start.generation:
            start, snapshot, lots = Position(), empty_snapshot(0), []
        for entry in self._log.entries(start, end):
            snapshot = self._after(snapshot, entry)
            lots += _named(entry["lots"])
        self._take(_Taken(end, snapshot, lots))

    def _take(self, taken: _Taken) -> None:
        self._taken = taken
        self._snapshot = taken.snapshot

    def _after(self, before: StoreSnapshot, entry: Lot) -> StoreSnapshot:
        """The facts after an entry of the log."""
        snapshot = empty_snapshot(0) if entry["kind"] == "all" else before
        first = 0
        for lot in self._server.lots(entry):
            data = None
            if entry["kind"] == "added" and entry["data"] is not None:
                fields = range(first, first + len(lot["embeddings"]))
                data = RemoteData(self._server, [entry["data"]], fields)
                first = fields.stop
            elif "names" in lot:
                data = RemoteData(
                    self._server, lot["names"], lot["fields"], lot["codes"]
                )
            snapshot = after_lot(snapshot, lot, data)
        return replace(snapshot, next_key=entry["next_key"], lineage=entry["lineage"])

    # Every change is made to what is there now, and again if another was first.

    def reset(self) -> None:
        self._in_step(super().reset)

    def vacuum(self) -> int:
        def vacuumed() -> int:
            self._log.erase()
            if not self._snapshot.vectors.n_dead and self._taken.position.n > _LONG_LOG:
                self._commit(Loaded(self._snapshot))
            return super(RedisStore, self).vacuum()

        return self._in_step(vacuumed)

    def relabel(self, keys: Any, labels: Any) -> None:
        base = super().relabel
        self._in_step(lambda: base(keys, labels))

    def remove(self, keys: Any) -> int:
        base = super().remove
        return self._in_step(lambda: base(keys))

    def read(self, path: Path, mapped: bool = False) -> None:
        base = super().read
        self._in_step(lambda: base(path, mapped))

    def batch_add(
        self,
        embeddings: Any,
        labels: Any = None,
        data: Any = None,
        ids: Any = None,
        metadata: Any = None,
    ) -> np.ndarray:
        base = super().batch_add
        return self._in_step(lambda: base(embeddings, labels, data, ids, metadata))

    def replace_embeddings(self, embeddings: np.ndarray) -> None:
        base = super().replace_embeddings

        def replaced() -> None:
            n = self._snapshot.vectors.n_alive
            if len(embeddings) != n:
                raise ValueError(
                    f"`embeddings` must have one row for each of the {n} items that "
                    f"are on the server now. Received: {len(embeddings)} rows."
                )
            base(embeddings)

        self._in_step(replaced)

    def _in_step(self, change: Callable[[], Result]) -> Result:
        with self._lock:
            effort = self._effort = _Effort()
            try:
                for _ in range(_TRIES):
                    self.refresh()
                    try:
                        return change()
                    except Overtaken:
                        if effort.lots is None:
                            self._server.drop(effort.put)
                            effort.put.clear()
                        # Unequal pauses, so that writers do not meet for ever.
                        time.sleep(random.uniform(0, _PAUSE))
                raise RuntimeError(
                    f"Other writers changed the index under {self.prefix!r} at each of "
                    f"{_TRIES} tries. Nothing was changed; try again when they pause."
                )
            except (ValueError, TypeError, KeyError, RuntimeError):
                # Not after other errors: the server may have made the change. What
                # was put there stays if so, and expires if not.
                self._server.drop(effort.put)
                raise

    def restore(self, before: StoreSnapshot) -> None:
        """Does nothing: others may have written since, and would lose it."""

    def _commit(self, change: Change) -> StoreSnapshot:
        before = self._snapshot
        if isinstance(change, Added):
            after, lots = self._put_items(change.items, before)
            self._append("added", after, lots, self._effort.data)
        elif isinstance(change, Removed | Relabelled):
            after = change.after(before)
            lots = self._server.put_lots(lots_of(change), self._effort.put)
            self._append("changed", after, lots)
        else:
            self._begin(change, before)
        self._effort.put.clear()
        return before

    def _put_items(
        self, items: NewItems, before: StoreSnapshot
    ) -> tuple[StoreSnapshot, list[bytes | str]]:
        """The facts with these items, and their lots, put there at the first try."""
        effort, data = self._effort, items.data
        chunk = None
        if data is not None and any(item is not None for item in data):
            effort.data = effort.data or self._server.new_name("data")
            chunk = RemoteData(self._server, [effort.data], range(len(data)))
        after = Added(replace(items, data=chunk)).after(before)
        if effort.lots is None:
            if data is not None and effort.data is not None:
                self._server.put_data(effort.data, data, effort.put)
            effort.lots = self._server.put_lots(lots_of(Added(items)), effort.put)
        return after, effort.lots

    def _append(
        self,
        kind: str,
        after: StoreSnapshot,
        lots: list[bytes | str],
        data: str | None = None,
    ) -> None:
        entry = {**_entry(kind, after, lots), "data": data}
        position = self._log.append(self._taken.position, entry, self._effort.put)
        # In place: a list of thousands is not copied for each item.
        self._taken.lots.extend(_named(lots))
        self._take(_Taken(position, after, self._taken.lots))

    def _begin(self, change: Change, before: StoreSnapshot) -> None:
        """All facts anew, without removed rows, as the first entry of a generation."""
        self._log.erase()
        put, at = self._effort.put, self._taken.position
        new = rewritten(change, before, self._server, put)
        keys = [*new.keys, *self._taken.lots]
        if at.generation:
            keys.append(f"log:{at.generation}")
        erase = self._log.put_erasure(keys, new.fields, put)
        entry = _entry("all", new.after, new.lots)
        position = self._log.begin(at, entry, put, erase)
        self._take(_Taken(position, new.after, _named(new.lots)))
        self._log.erase()

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **self._where, "prefix": self.prefix}


def _entry(kind: str, after: StoreSnapshot, lots: list[bytes | str]) -> Lot:
    return {
        "kind": kind,
        "lots": lots,
        "next_key": after.next_key,
        "lineage": after.lineage,
    }


def _named(lots: list[bytes | str]) -> list[str]:
    """The lots that have a key of their own."""
    return [lot for lot in lots if isinstance(lot, str)]
