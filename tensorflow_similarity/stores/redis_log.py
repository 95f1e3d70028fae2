"""A store's changes on a Redis server: a log that several writers append to.

    <prefix>:head           hash: format, generation, number and id of the last entry
    <prefix>:log:<token>    list: the entries of one generation, sealed records
    <prefix>:lot:<token>    string: a lot of a change too long for its entry
    <prefix>:data:<token>   hash: user data of one batch, a sealed record an item
    <prefix>:erase:<token>  list: what a new generation has left behind

An entry counts once the head names it. What it refers to is put there before, to
expire by itself should the writer end first; nothing else is ever touched.
"""

import contextlib
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tensorflow_similarity._core.optional import optional_import
from tensorflow_similarity._version import __version__
from tensorflow_similarity.stores.redis_address import PASSWORD_VARIABLE, Address
from tensorflow_similarity.stores.redis_records import Lot, opened, sealed

FORMAT = 1
_SIGNATURE = "tensorflow_similarity "
# A lot of at most so many bytes stands in its entry: one turn instead of two.
_INLINE_BYTES = 64 * 1024
# What one turn carries: entries, items of user data, bytes of those.
_ENTRIES_A_TURN = 512
_ITEMS_A_TURN = 1_000
_BYTES_A_TURN = 4 * 2**20
# Seconds until what was put there for a change that never came about goes away.
_UNUSED = 24 * 60 * 60

Place = tuple[str, int] | None


@dataclass(frozen=True)
class Position:
    """How far a log was read: the first so many entries of one generation."""

    generation: str = ""
    n: int = 0
    last: str = ""


class Overtaken(Exception):
    """Another writer was first: take over its change, then try again."""


class Gone(Exception):
    """What an entry refers to is not there: a new generation, or a loss."""


class RedisLog:
    """The log under one prefix of one server; holds no items.

    Args:
        address: the server.
        prefix: what the names of all keys begin with.
    """

    def __init__(self, address: Address, prefix: str):
        self._url = address.url
        self._prefix = prefix
        self._client = address.client()
        self._errors = optional_import(
            "redis.exceptions", purpose="Keeping an index on a Redis server"
        )

    def close(self) -> None:
        """Ends the connections; the next use makes new ones."""
        self._client.close()

    # Reading.

    def position(self) -> Position:
        """Where the log ends; before the first change, `Position()`.

        Raises:
            ValueError: if the keys are not ours, or of a newer version.
            ConnectionError, PermissionError, RuntimeError: if the server cannot.
        """
        with self._said():
            return self._position(self._client)

    def entries(self, start: Position, end: Position) -> Iterator[Lot]:
        """What came after `start`, up to `end` of the same generation.

        Raises:
            Gone: if another generation has begun meanwhile.
            ValueError: if a record is damaged.
            RuntimeError: if the log is not the one that was read up to `start`.
        """
        previous, key = start.last, self._key(f"log:{end.generation}")
        for first in range(start.n, end.n, _ENTRIES_A_TURN):
            stop = min(first + _ENTRIES_A_TURN, end.n)
            with self._said():
                records = self._client.lrange(key, first, stop - 1)
            if len(records) < stop - first:
                raise Gone(key)
            for i, record in enumerate(records):
                entry: Lot = opened(record, f"{key}[{first + i}]")
                if entry["previous"] != previous:
                    raise self.other_history()
                previous = entry["id"]
                yield entry

    def lots(self, entry: Lot) -> Iterator[Lot]:
        """The lots of an entry, fetched one by one."""
        for lot in entry["lots"]:
            if isinstance(lot, bytes):
                yield opened(lot, entry["id"])
                continue
            with self._said():
                record = self._client.get(self._key(lot))
            if record is None:
                raise Gone(self._key(lot))
            yield opened(record, self._key(lot))

    def fetch(self, places: list[Place]) -> list[Any]:
        """User data at these places, (name, field); None where there is no place.

        Raises:
            RuntimeError: if it was erased.
            ValueError: if it is damaged.
        """
        items: list[Any] = [None] * len(places)
        asked = [(i, *place) for i, place in enumerate(places) if place is not None]
        for first in range(0, len(asked), _ITEMS_A_TURN):
            some = asked[first : first + _ITEMS_A_TURN]
            with self._said(), self._client.pipeline(transaction=False) as turn:
                for _, name, number in some:
                    turn.hget(self._key(name), number)
                records = turn.execute()
            for (i, name, number), record in zip(some, records, strict=True):
                place = f"{self._key(name)}[{number}]"
                if record is None:
                    raise RuntimeError(
                        f"The user data {place!r} are no longer on the Redis server: "
                        "the item was erased since (`vacuum`, `reset`), or the server "
                        "evicts keys. Call `refresh()`, and look again."
                    )
                items[i] = opened(record, place)
        return items

    # Writing.

    def new_name(self, kind: str) -> str:
        """A name that nothing has, without the prefix."""
        return f"{kind}:{secrets.token_hex(8)}"

    def put_lots(self, lots: Iterable[Lot], put: list[str]) -> list[bytes | str]:
        """Lots for an entry: short ones as they are, others by name.

        Args:
            put: gets the names of what was put on the server, to expire.
        """
        listed: list[bytes | str] = []
        for record in map(sealed, lots):
            if len(record) <= _INLINE_BYTES:
                listed.append(record)
                continue
            name = self.new_name("lot")
            put.append(name)
            with self._said():
                self._client.set(self._key(name), record, ex=_UNUSED)
            listed.append(name)
        return listed

    def put_data(self, name: str, items: Iterable[Any], put: list[str]) -> None:
        """User data under a name, numbered from 0, to expire."""
        put.append(name)
        key, lot, n_bytes = self._key(name), dict[int, bytes](), 0

        def send() -> None:
            with self._said(), self._client.pipeline(transaction=False) as turn:
                turn.hset(key, mapping=lot)
                turn.expire(key, _UNUSED)
                turn.execute()

        for i, item in enumerate(items):
            lot[i] = sealed(item)
            n_bytes += len(lot[i])
            if len(lot) == _ITEMS_A_TURN or n_bytes > _BYTES_A_TURN:
                send()
                lot, n_bytes = {}, 0
        if lot:
            send()

    def put_erasure(
        self, keys: Sequence[str], fields: dict[str, list[int]], put: list[str]
    ) -> str:
        """A list of keys, and of fields of keys, to be erased; its name."""
        name = self.new_name("erase")
        lots: list[Lot] = [
            {"keys": list(keys[i : i + _ITEMS_A_TURN]), "fields": {}}
            for i in range(0, len(keys), _ITEMS_A_TURN)
        ]
        for key, numbers in fields.items():
            for i in range(0, len(numbers), _ITEMS_A_TURN):
                some = numbers[i : i + _ITEMS_A_TURN]
                lots.append({"keys": [], "fields": {key: some}})
        if not lots:
            return name
        put.append(name)
        with self._said(), self._client.pipeline(transaction=False) as turn:
            for lot in lots:
                turn.rpush(self._key(name), sealed(lot))
            turn.expire(self._key(name), _UNUSED)
            turn.execute()
        return name

    def drop(self, names: Sequence[str]) -> None:
        """Takes back what was put there for a change that did not come about."""
        for first in range(0, len(names), _ITEMS_A_TURN):
            with self._said():
                some = names[first : first + _ITEMS_A_TURN]
                self._client.unlink(*map(self._key, some))

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
        with self._said():
            name = self._client.hget(self._key("head"), "erase")
        if name is None:
            return
        key = self._key(name.decode())
        first = 0
        while True:
            with self._said():
                records = self._client.lrange(key, first, first)
            if not records:
                break
            lot = opened(records[0], f"{key}[{first}]")
            with self._said(), self._client.pipeline(transaction=False) as turn:
                for gone in lot["keys"]:
                    turn.unlink(self._key(gone))
                for gone, numbers in lot["fields"].items():
                    turn.hdel(self._key(gone), *numbers)
                turn.execute()
            first += 1
        with self._said():
            self._client.unlink(key)

    def other_history(self) -> RuntimeError:
        """The error for a log that is not the one that was read."""
        return RuntimeError(
            f"The Redis server at {self._url!r} no longer holds what was read under "
            f"the prefix {self._prefix!r}: it was emptied, restarted without its data, "
            "or restored from a copy. Open the store anew to go on with what is there."
        )

    def lost(self, name: str) -> ValueError:
        """The error for a key that an entry refers to and that is not there."""
        return ValueError(
            f"The key {name!r} is missing on the Redis server at {self._url!r}. The "
            "server must not evict keys (`maxmemory-policy noeviction`). Restore its "
            "data, or make the index again from yours."
        )

    # Within.

    def _key(self, name: str) -> str:
        return f"{self._prefix}:{name}"

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
            turn.rpush(self._key(f"log:{after.generation}"), sealed(entry))
            turn.hset(self._key("head"), mapping=head)
            for name in put:
                turn.persist(self._key(name))

        errors = self._errors
        broken = (errors.WatchError, errors.ConnectionError, errors.TimeoutError)
        with self._said():
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
        with self._client.pipeline(transaction=True) as turn:
            turn.watch(self._key("head"))
            if self._position(turn) != at:
                raise Overtaken
            names = [self._key(name) for name in put]
            if names and turn.exists(*names) != len(names):
                raise RuntimeError(
                    f"The Redis server at {self._url!r} dropped what was just put "
                    "there. It must not evict keys: set its `maxmemory-policy` to "
                    "noeviction, or give it more memory. Nothing was changed."
                )
            turn.multi()
            write(turn)
            turn.execute()

    def _was_written(self, after: Position) -> bool:
        """Whether this very entry is in the log, whatever came behind it."""
        now = self._position(self._client)
        if now.generation != after.generation or now.n < after.n:
            return False
        key = self._key(f"log:{after.generation}")
        record = self._client.lindex(key, after.n - 1)
        return record is not None and opened(record, key)["id"] == after.last

    def _position(self, client: Any) -> Position:
        try:
            head = client.hgetall(self._key("head"))
        except self._errors.ResponseError as error:
            if "WRONGTYPE" not in str(error):
                raise
            raise self._foreign() from error
        if not head:
            return Position()
        facts = {
            name.decode(): value.decode(errors="replace")
            for name, value in head.items()
        }
        writer = facts.get("written_by", "")
        if not writer.startswith(_SIGNATURE):
            raise self._foreign()
        try:
            number = int(facts["format"])
            position = Position(facts["generation"], int(facts["n"]), facts["last"])
        except (KeyError, ValueError) as error:
            raise ValueError(
                f"The record {self._key('head')!r} on the Redis server at "
                f"{self._url!r} is damaged. Restore the server's data, or make the "
                "index again from yours under another `prefix`."
            ) from error
        if number > FORMAT:
            raise ValueError(
                f"The index under {self._prefix!r} on the Redis server has format "
                f"{number}, this version reads formats up to {FORMAT}. Install the "
                f"tensorflow_similarity that wrote it ({writer}) or a newer one."
            )
        return position

    def _foreign(self) -> ValueError:
        return ValueError(
            f"The key {self._key('head')!r} on the Redis server at {self._url!r} was "
            "not written by this library. Give another `prefix`."
        )

    @contextlib.contextmanager
    def _said(self) -> Iterator[None]:
        """Says what the server or the way to it has refused."""
        errors = self._errors
        try:
            yield
        except (errors.AuthenticationError, errors.NoPermissionError) as error:
            raise PermissionError(
                f"The Redis server at {self._url!r} refused: {error}. Give `username` "
                f"and `password`, or set the password as {PASSWORD_VARIABLE} in the "
                "environment."
            ) from error
        except (errors.ConnectionError, errors.TimeoutError) as error:
            raise ConnectionError(
                f"The Redis server at {self._url!r} cannot be reached: {error} Check "
                "`host`, `port` and `ssl`, and that it runs. If this came while "
                "something was changed, `refresh()` tells whether it was."
            ) from error
        except errors.RedisError as error:
            raise RuntimeError(
                f"The Redis server at {self._url!r} refused: {error}. Nothing was "
                "changed."
            ) from error
