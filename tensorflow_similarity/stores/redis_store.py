"""The facts on a Redis server, shared by any number of processes."""

import random
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import keras
import numpy as np

from tensorflow_similarity._core.columns import Items
from tensorflow_similarity.stores.changes import (
    Added,
    Change,
    Loaded,
    Relabelled,
    Removed,
)
from tensorflow_similarity.stores.redis_address import Address
from tensorflow_similarity.stores.redis_data import Gathered, RemoteData, gathered
from tensorflow_similarity.stores.redis_log import Gone, Overtaken, Position, RedisLog
from tensorflow_similarity.stores.redis_records import (
    Lot,
    after_lot,
    item_lots,
    lots_of,
)
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
        self._log = RedisLog(address, prefix)
        self._position = Position()
        # Names of the lots that the log refers to: erased with it.
        self._lots: list[str] = []
        self._effort = _Effort()
        self._lock = threading.RLock()
        self.refresh()

    def close(self) -> None:
        """Ends the connections to the server; the next use makes new ones."""
        self._log.close()

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
            while True:
                end = self._log.position()
                if end == self._position:
                    return False
                try:
                    self._take_over(end)
                    return True
                except Gone as error:
                    # A new generation began while the old one was read.
                    if self._log.position().generation == end.generation:
                        raise self._log.lost(str(error)) from None

    def _take_over(self, end: Position) -> None:
        start, snapshot, lots = self._position, self._snapshot, list(self._lots)
        if start.generation and (
            not end.generation
            or (end.generation == start.generation and end.n <= start.n)
        ):
            raise self._log.other_history()
        if end.generation != start.generation:
            start, snapshot, lots = Position(), empty_snapshot(0), []
        for entry in self._log.entries(start, end):
            snapshot = self._after(snapshot, entry)
            lots += [lot for lot in entry["lots"] if isinstance(lot, str)]
        self._position, self._snapshot, self._lots = end, snapshot, lots

    def _after(self, before: StoreSnapshot, entry: Lot) -> StoreSnapshot:
        """The facts after an entry of the log."""
        snapshot = empty_snapshot(0) if entry["kind"] == "all" else before
        first = 0
        for lot in self._log.lots(entry):
            data = None
            if entry["kind"] == "added" and entry["data"] is not None:
                fields = range(first, first + len(lot["embeddings"]))
                data = RemoteData(self._log, [entry["data"]], fields)
                first = fields.stop
            elif "names" in lot:
                data = RemoteData(self._log, lot["names"], lot["fields"], lot["codes"])
            snapshot = after_lot(snapshot, lot, data)
        return replace(snapshot, next_key=entry["next_key"], lineage=entry["lineage"])

    # Every change is made to what is there now, and again if another was first.

    def reset(self) -> None:
        self._in_step(super().reset)

    def vacuum(self) -> int:
        def vacuumed() -> int:
            self._log.erase()
            if not self._snapshot.vectors.n_dead and self._position.n > _LONG_LOG:
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
            self._effort = _Effort()
            try:
                for _ in range(_TRIES):
                    self.refresh()
                    try:
                        return change()
                    except Overtaken:
                        # Unequal pauses, so that writers do not meet for ever.
                        time.sleep(random.uniform(0, _PAUSE))  # noqa: S311
            except (ValueError, TypeError, KeyError, RuntimeError):
                self._log.drop(self._effort.put)
                raise
            # After anything else the server may have made the change: what was put
            # there stays if so, and expires if not.
            self._log.drop(self._effort.put)
        raise RuntimeError(
            f"Other writers changed the index under {self.prefix!r} at each of {_TRIES} "
            "tries. Nothing was changed; try again when they pause."
        )

    def _commit(self, change: Change) -> StoreSnapshot:
        before = self._snapshot
        if isinstance(change, Added | Removed | Relabelled):
            after = self._appended(change, before)
        else:
            after = self._begun(change, before)
        self._snapshot = after
        self._effort.put.clear()
        return before

    def _appended(
        self, change: Added | Removed | Relabelled, before: StoreSnapshot
    ) -> StoreSnapshot:
        effort = self._effort
        if not isinstance(change, Added):
            after = change.after(before)
            lots = self._log.put_lots(lots_of(change), effort.put)
        else:
            data = change.items.data
            if data is not None and any(item is not None for item in data):
                effort.data = effort.data or self._log.new_name("data")
                chunk = RemoteData(self._log, [effort.data], range(len(data)))
            else:
                chunk = None
            after = Added(replace(change.items, data=chunk)).after(before)
            if effort.lots is None:
                if chunk is not None and data is not None:
                    self._log.put_data(chunk.names[0], data, effort.put)
                effort.lots = self._log.put_lots(lots_of(change), effort.put)
            lots = effort.lots
        entry = {
            "kind": type(change).__name__.lower(),
            "lots": lots,
            "data": effort.data,
            "next_key": after.next_key,
            "lineage": after.lineage,
        }
        self._position = self._log.append(self._position, entry, effort.put)
        self._lots += [lot for lot in lots if isinstance(lot, str)]
        return after

    def _begun(self, change: Change, before: StoreSnapshot) -> StoreSnapshot:
        """All facts anew, without removed rows, as the first entry of a generation."""
        self._log.erase()
        put: list[str] = []
        try:
            after, lots, erase = self._all_put(change, before, put)
            entry = {
                "kind": "all",
                "lots": lots,
                "next_key": after.next_key,
                "lineage": after.lineage,
            }
            self._position = self._log.begin(self._position, entry, put, erase)
        except Overtaken:
            self._log.drop(put)
            raise
        except (ValueError, TypeError, RuntimeError):
            self._effort.put += put
            raise
        self._lots = [lot for lot in lots if isinstance(lot, str)]
        self._log.erase()
        return after

    def _all_put(
        self, change: Change, before: StoreSnapshot, put: list[str]
    ) -> tuple[StoreSnapshot, list[bytes | str], str]:
        """The facts after the change, their lots, and the list of what they leave."""
        source = change.snapshot if isinstance(change, Loaded) else before
        # Without user data, which stay where they are.
        after = replace(source, items=Items())
        if not isinstance(change, Loaded):
            after = change.after(after)
        if after.vectors.n_dead:
            after = after.compacted()
        n = after.vectors.size
        rows = source.vectors.alive_rows() if n else np.empty(0, np.int64)
        data = gathered(source.items, rows, self._log)
        for first, items in data.local:
            name = self._log.new_name("data")
            self._log.put_data(name, items, put)
            data.codes[first : first + len(items)] = data.number(name)
            data.fields[first : first + len(items)] = np.arange(len(items))
        lots = self._log.put_lots(_lots_of_all(after, data, self._log), put)
        erase = self._left(before, data, put)
        after = replace(after, items=Items().append(data.part(self._log, 0, n), n))
        return after, lots, erase

    def _left(self, before: StoreSnapshot, data: Gathered, put: list[str]) -> str:
        """Puts up the list of what is no longer needed; its name."""
        everything = np.arange(before.items.size)
        old = gathered(before.items, everything, self._log).by_name()
        new = data.by_name()
        keys, fields = [*self._lots], {}
        if self._position.generation:
            keys.append(f"log:{self._position.generation}")
        for name, numbers in old.items():
            if name not in new:
                keys.append(name)
            elif len(new[name]) < len(numbers):
                fields[name] = sorted(set(numbers) - set(new[name]))
        return self._log.put_erasure(keys, fields, put)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **self._where, "prefix": self.prefix}


def _lots_of_all(
    after: StoreSnapshot, data: Gathered, source: RedisLog
) -> Iterable[Lot]:
    """All items in lots, each with where its user data stand."""
    if not after.vectors.dim:
        return
    rows = np.arange(after.vectors.size)
    items = NewItems(
        after.vectors.take(rows),
        after.labels,
        ids=None if after.own_ids is None else after.own_ids.values,
        metadata=after.metadata.at(rows),
    )
    first = 0
    for lot in item_lots(items, after.keys):
        end = first + len(lot["embeddings"])
        part = data.part(source, first, end)
        if part is not None:
            codes, fields = part.places(np.arange(end - first))
            lot |= {"names": list(part.names), "codes": codes, "fields": fields}
        yield lot
        first = end
