"""A store's changes on a Redis server: a log that several writers append to.

    <prefix>:head           hash: format, generation, number and id of the last entry
    <prefix>:log:<token>    list: the entries of one generation, sealed records
    <prefix>:lot:<token>    string: a lot of a change too long for its entry
    <prefix>:data:<token>   hash: user data of one batch, a sealed record an item
    <prefix>:erase:<token>  list: what a new generation has left behind

An entry counts once the head names it. What it refers to is put there before, to
expire by itself should the writer end first; nothing else is ever touched.
"""

import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tensorflow_similarity._version import __version__
from tensorflow_similarity.stores.redis_records import Lot, opened, sealed
from tensorflow_similarity.stores.redis_server import (
    ITEMS_A_TURN,
    RECORDS_A_TURN,
    UNUSED,
    Gone,
    RedisServer,
)

FORMAT = 1
_SIGNATURE = "tensorflow_similarity "


@dataclass(frozen=True)
class Position:
    """How far a log was read: the first so many entries of one generation."""

    generation: str = ""
    n: int = 0
    last: str = ""


class Overtaken(Exception):
    """Another writer was first: take over its change, then try again."""


class RedisLog:
    """The log under one prefix of one server; holds no items.

    Args:
        server: where it is.
    """

    def __init__(self, server: RedisServer):
        self._server = server

    # Reading.

    def position(self) -> Position:
        """Where the log ends; before the first change, `Position()`.

        Raises:
            ValueError: if the keys are not ours, or of a newer version.
            ConnectionError, PermissionError, RuntimeError: if the server cannot.
        """
        with self._server.said():
            return self._position(self._server.client)

    def entries(self, start: Position, end: Position) -> Iterator[Lot]:
        """What came after `start`, up to `end` of the same generation.

        Raises:
            Gone: if another generation has begun meanwhile.
            ValueError: if a record is damaged.
            RuntimeError: if the log is not the one that was read up to `start`.
        """
        previous, key = start.last, self._server.key(f"log:{end.generation}")
        for first in range(start.n, end.n, RECORDS_A_TURN):
            stop = min(first + RECORDS_A_TURN, end.n)
            with self._server.said():
                records = self._server.client.lrange(key, first, stop - 1)
            if len(records) < stop - first:
                raise Gone(key)
            for i, record in enumerate(records):
                entry: Lot = opened(record, f"{key}[{first + i}]")
                if entry["previous"] != previous:
                    raise self._server.other_history()
                previous = entry["id"]
                yield entry

    # Writing.

    def put_erasure(
        self, keys: Sequence[str], fields: dict[str, list[int]], put: list[str]
    ) -> str:
        """A list of keys, and of fields of keys, to be erased; its name."""
        name = self._server.new_name("erase")
        lots: list[Lot] = [
            {"keys": list(keys[i : i + ITEMS_A_TURN]), "fields": {}}
            for i in range(0, len(keys), ITEMS_A_TURN)
        ]
        for key, numbers in fields.items():
            for i in range(0, len(numbers), ITEMS_A_TURN):
                some = numbers[i : i + ITEMS_A_TURN]
                lots.append({"keys": [], "fields": {key: some}})
        if not lots:
            return name
        put.append(name)
        client = self._server.client
        with self._server.said(), client.pipeline(transaction=False) as turn:
            for lot in lots:
                turn.rpush(self._server.key(name), sealed(lot))
            turn.expire(self._server.key(name), UNUSED)
            turn.execute()
        return name

    def append(self, at: Position, entry: Lot, put: Sequence[str]) -> Position:
        """An entry behind the last one; everything it refers to stays from then on.

        Args:
            at: where the log must still end.
            put: names of what it refers to.

        Raises:
            Overtaken: if it no longer ends there. Nothing was written.
            ConnectionError, RuntimeError: if the server cannot.
        """
        entry = {"id": secrets.token_hex(8), "previous": at.last, **entry}
        generation = at.generation or secrets.token_hex(8)
        return self._commit(at, Position(generation, at.n + 1, entry["id"]), entry, put)

    def begin(
        self, at: Position, entry: Lot, put: Sequence[str], erase: str
    ) -> Position:
        """A new generation that begins with this entry; as `append`.

        Args:
            erase: name of the list of what it leaves behind.
        """
        entry = {"id": secrets.token_hex(8), "previous": "", **entry}
        after = Position(secrets.token_hex(8), 1, entry["id"])
        return self._commit(at, after, entry, put, {"erase": erase})

    def erase(self) -> None:
        """Erases what the last new generation left behind; harmless when repeated."""
        with self._server.said():
            name = self._server.client.hget(self._server.key("head"), "erase")
        if name is None:
            return
        key, client = self._server.key(name.decode()), self._server.client
        first = 0
        while True:
            with self._server.said():
                records = client.lrange(key, first, first)
            if not records:
                break
            lot = opened(records[0], f"{key}[{first}]")
            with self._server.said(), client.pipeline(transaction=False) as turn:
                for gone in lot["keys"]:
                    turn.unlink(self._server.key(gone))
                for gone, numbers in lot["fields"].items():
                    turn.hdel(self._server.key(gone), *numbers)
                turn.execute()
            first += 1
        with self._server.said():
            self._server.client.unlink(key)

    # Within.

    def _commit(
        self,
        at: Position,
        after: Position,
        entry: Lot,
        put: Sequence[str],
        facts: dict[str, str] | None = None,
    ) -> Position:
        head = {
            "written_by": f"{_SIGNATURE}{__version__}",
            "format": FORMAT,
            "generation": after.generation,
            "n": after.n,
            "last": after.last,
            **(facts or {}),
        }

        def write(turn: Any) -> None:
            turn.rpush(self._server.key(f"log:{after.generation}"), sealed(entry))
            turn.hset(self._server.key("head"), mapping=head)
            for name in put:
                turn.persist(self._server.key(name))

        errors = self._server.errors
        broken = (errors.WatchError, errors.ConnectionError, errors.TimeoutError)
        with self._server.said():
            try:
                self._transaction(at, write, put)
            except broken as error:
                # The connection may have ended after the server had done it; the
                # package calls that a change of what was watched, too.
                if not self._was_written(after):
                    if isinstance(error, errors.WatchError):
                        raise Overtaken from error
                    raise
        return after

    def _transaction(
        self, at: Position, write: Callable[[Any], None], put: Sequence[str]
    ) -> None:
        with self._server.client.pipeline(transaction=True) as turn:
            turn.watch(self._server.key("head"))
            if self._position(turn) != at:
                raise Overtaken
            names = [self._server.key(name) for name in put]
            if names and turn.exists(*names) != len(names):
                raise RuntimeError(
                    f"The Redis server at {self._server.url!r} dropped what was just "
                    "put there. It must not evict keys: set its `maxmemory-policy` to "
                    "noeviction, or give it more memory. Nothing was changed."
                )
            turn.multi()
            write(turn)
            turn.execute()

    def _was_written(self, after: Position) -> bool:
        """Whether this very entry is in the log, whatever came behind it."""
        now = self._position(self._server.client)
        if now.generation != after.generation or now.n < after.n:
            return False
        key = self._server.key(f"log:{after.generation}")
        record = self._server.client.lindex(key, after.n - 1)
        return record is not None and opened(record, key)["id"] == after.last

    def _position(self, client: Any) -> Position:
        try:
            head = client.hgetall(self._server.key("head"))
        except self._server.errors.ResponseError as error:
            if "WRONGTYPE" not in str(error):
                raise
            raise self._server.foreign() from error
        if not head:
            return Position()
        facts = {
            name.decode(): value.decode(errors="replace")
            for name, value in head.items()
        }
        writer = facts.get("written_by", "")
        if not writer.startswith(_SIGNATURE):
            raise self._server.foreign()
        try:
            number = int(facts["format"])
            position = Position(facts["generation"], int(facts["n"]), facts["last"])
        except (KeyError, ValueError) as error:
            raise ValueError(
                f"The record {self._server.key('head')!r} on the Redis server at "
                f"{self._server.url!r} is damaged. Restore the server's data, or make "
                "the index again from yours under another `prefix`."
            ) from error
        if number > FORMAT:
            raise ValueError(
                f"The index under {self._server.prefix!r} on the Redis server has "
                f"format {number}, this version reads formats up to {FORMAT}. Install "
                f"the tensorflow_similarity that wrote it ({writer}) or a newer one."
            )
        return position
