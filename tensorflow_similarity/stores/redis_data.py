"""User data on a Redis server, seen as a chunk of a store's items."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tensorflow_similarity._core.columns import Elsewhere, Items
from tensorflow_similarity.stores.redis_server import ITEMS_A_TURN, Place, RedisServer


class RemoteData(Elsewhere):
    """User data of some rows, fetched when they are looked at.

    Args:
        source: the server that holds them.
        names: of the hashes that hold them.
        fields: of each row, its field in its hash.
        codes: of each row, which of the names it is; -1 without data. None: the first.
    """

    def __init__(
        self,
        source: RedisServer,
        names: Sequence[str],
        fields: "range | np.ndarray",
        codes: np.ndarray | None = None,
    ):
        self.source = source
        self.names = names
        self._fields = fields
        self._codes = codes

    def __len__(self) -> int:
        return len(self._fields)

    def place(self, i: int) -> Place:
        code = 0 if self._codes is None else int(self._codes[i])
        return None if code < 0 else (self.names[code], int(self._fields[i]))

    def places(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Codes and fields of these rows."""
        if self._codes is None:
            codes = np.zeros(len(rows), np.int32)
        else:
            codes = self._codes[rows]
        return codes, np.asarray(self._fields)[rows].astype(np.int64)

    def __getitem__(self, i: Any) -> Any:
        if not isinstance(i, slice):
            return self.source.fetch([self.place(i)])[0]
        codes = None if self._codes is None else self._codes[i]
        return RemoteData(self.source, self.names, self._fields[i], codes)

    def __iter__(self) -> Iterator[Any]:
        for first in range(0, len(self), ITEMS_A_TURN):
            some = range(first, min(first + ITEMS_A_TURN, len(self)))
            yield from self.source.fetch([self.place(i) for i in some])


@dataclass
class Gathered:
    """Where the user data of some rows stand, through all chunks.

    Args:
        names: of the hashes, by their number.
        codes: int32, number of the hash by row, -1 without data.
        fields: int64 by row.
        local: chunks that are in memory: (first row, items).
    """

    codes: np.ndarray
    fields: np.ndarray
    names: dict[str, int] = field(default_factory=dict)
    local: list[tuple[int, list[Any]]] = field(default_factory=list)

    def number(self, name: str) -> int:
        return self.names.setdefault(name, len(self.names))

    def part(self, source: RedisServer, start: int, end: int) -> RemoteData | None:
        """The chunk of rows `start` to `end`; None if none of them has data."""
        codes = self.codes[start:end]
        used = np.unique(codes[codes >= 0])
        if not len(used):
            return None
        names = list(self.names)
        numbers = np.where(codes < 0, -1, np.searchsorted(used, codes))
        return RemoteData(
            source,
            [names[code] for code in used.tolist()],
            self.fields[start:end],
            numbers.astype(np.int32),
        )

    def by_name(self) -> dict[str, list[int]]:
        """The fields of each hash."""
        if not len(self.codes):
            return {}
        order = np.argsort(self.codes, kind="stable")
        found, starts = np.unique(self.codes[order], return_index=True)
        names = list(self.names)
        parts = np.split(self.fields[order], starts[1:])
        return {
            names[code]: part.tolist()
            for code, part in zip(found.tolist(), parts, strict=True)
            if code >= 0
        }


def gathered(items: Items, rows: np.ndarray, source: RedisServer) -> Gathered:
    """Where the user data of these rows, ascending, stand."""
    found = Gathered(np.full(len(rows), -1, np.int32), np.zeros(len(rows), np.int64))
    for start, n, chunk in items.chunks():
        low, high = np.searchsorted(rows, [start, start + n]).tolist()
        if chunk is None or low == high:
            continue
        within = rows[low:high] - start
        if isinstance(chunk, RemoteData) and chunk.source is source:
            codes, found.fields[low:high] = chunk.places(within)
            numbers = np.array([found.number(name) for name in chunk.names] + [-1])
            found.codes[low:high] = numbers[codes]
        else:
            found.local.append((low, [chunk[row] for row in within.tolist()]))
    return found
