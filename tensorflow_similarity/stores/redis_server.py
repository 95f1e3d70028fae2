"""A Redis server under one prefix: what is put there, fetched, and refused."""

import contextlib
import secrets
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from tensorflow_similarity._core.optional import optional_import
from tensorflow_similarity.stores.redis_address import PASSWORD_VARIABLE, Address
from tensorflow_similarity.stores.redis_records import Lot, opened, sealed

#: How many records of a list, or items of user data, one turn carries.
RECORDS_A_TURN = 512
ITEMS_A_TURN = 1_000
_BYTES_A_TURN = 4 * 2**20
# A lot of at most so many bytes stands in its entry: one turn instead of two.
_INLINE_BYTES = 64 * 1024
# Seconds until what was put there for a change that never came about goes away.
UNUSED = 24 * 60 * 60

Place = tuple[str, int] | None


class Gone(Exception):
    """What an entry refers to is not there: a new generation, or a loss."""


class RedisServer:
    """The keys under one prefix of one server.

    Args:
        address: the server.
        prefix: what the names of all keys begin with.
    """

    def __init__(self, address: Address, prefix: str):
        self.url = address.url
        self.prefix = prefix
        self.client = address.client()
        self.errors = optional_import(
            "redis.exceptions", purpose="Keeping an index on a Redis server"
        )

    def key(self, name: str) -> str:
        """The name of a key, with the prefix."""
        return f"{self.prefix}:{name}"

    def lots(self, entry: Lot) -> Iterator[Lot]:
        """The lots of an entry, fetched one by one."""
        for lot in entry["lots"]:
            if isinstance(lot, bytes):
                yield opened(lot, entry["id"])
                continue
            with self.said():
                record = self.client.get(self.key(lot))
            if record is None:
                raise Gone(self.key(lot))
            yield opened(record, self.key(lot))

    def fetch(self, places: list[Place]) -> list[Any]:
        """User data at these places, (name, field); None where there is no place.

        Raises:
            RuntimeError: if it was erased.
            ValueError: if it is damaged.
        """
        items: list[Any] = [None] * len(places)
        asked = [(i, *place) for i, place in enumerate(places) if place is not None]
        for first in range(0, len(asked), ITEMS_A_TURN):
            some = asked[first : first + ITEMS_A_TURN]
            with self.said(), self.client.pipeline(transaction=False) as turn:
                for _, name, number in some:
                    turn.hget(self.key(name), number)
                records = turn.execute()
            for (i, name, number), record in zip(some, records, strict=True):
                place = f"{self.key(name)}[{number}]"
                if record is None:
                    raise RuntimeError(
                        f"The user data {place!r} are no longer on the Redis server: "
                        "the item was erased since (`vacuum`, `reset`), or the server "
                        "evicts keys. Call `refresh()`, and look again."
                    )
                items[i] = opened(record, place)
        return items

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
            with self.said():
                self.client.set(self.key(name), record, ex=UNUSED)
            listed.append(name)
        return listed

    def put_data(self, name: str, items: Iterable[Any], put: list[str]) -> None:
        """User data under a name, numbered from 0, to expire."""
        put.append(name)
        key, lot, n_bytes = self.key(name), dict[int, bytes](), 0

        def send() -> None:
            with self.said(), self.client.pipeline(transaction=False) as turn:
                turn.hset(key, mapping=lot)
                turn.expire(key, UNUSED)
                turn.execute()

        for i, item in enumerate(items):
            lot[i] = sealed(item)
            n_bytes += len(lot[i])
            if len(lot) == ITEMS_A_TURN or n_bytes > _BYTES_A_TURN:
                send()
                lot, n_bytes = {}, 0
        if lot:
            send()

    def drop(self, names: Sequence[str]) -> None:
        """Takes back what was put there for a change that did not come about."""
        for first in range(0, len(names), ITEMS_A_TURN):
            with self.said():
                some = names[first : first + ITEMS_A_TURN]
                self.client.unlink(*map(self.key, some))

    def other_history(self) -> RuntimeError:
        """The error for a log that is not the one that was read."""
        return RuntimeError(
            f"The Redis server at {self.url!r} no longer holds what was read under "
            f"the prefix {self.prefix!r}: it was emptied, restarted without its data, "
            "or restored from a copy. Open the store anew to go on with what is there."
        )

    def lost(self, name: str) -> ValueError:
        """The error for a key that an entry refers to and that is not there."""
        return ValueError(
            f"The key {name!r} is missing on the Redis server at {self.url!r}. The "
            "server must not evict keys (`maxmemory-policy noeviction`). Restore its "
            "data, or make the index again from yours."
        )

    def foreign(self) -> ValueError:
        """The error for keys that another program wrote."""
        return ValueError(
            f"The key {self.key('head')!r} on the Redis server at {self.url!r} was "
            "not written by this library. Give another `prefix`."
        )

    @contextlib.contextmanager
    def said(self) -> Iterator[None]:
        """Says what the server or the way to it has refused."""
        errors = self.errors
        try:
            yield
        except (errors.AuthenticationError, errors.NoPermissionError) as error:
            raise PermissionError(
                f"The Redis server at {self.url!r} refused: {error}. Give `username` "
                f"and `password`, or set the password as {PASSWORD_VARIABLE} in the "
                "environment."
            ) from error
        except (errors.ConnectionError, errors.TimeoutError) as error:
            raise ConnectionError(
                f"The Redis server at {self.url!r} cannot be reached: {error} Check "
                "`host`, `port` and `ssl`, and that it runs. If this came while "
                "something was changed, `refresh()` tells whether it was."
            ) from error
        except errors.RedisError as error:
            raise RuntimeError(
                f"The Redis server at {self.url!r} refused: {error}. Nothing was "
                "changed."
            ) from error
