"""Growing columns seen through immutable views, like `Vectors` for anything else."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

_SMALL = 65_536


class Source(Protocol):
    """Where items stand that are not in memory."""

    def fetch(self, places: list[Any]) -> list[Any]:
        """The items at these places, in their order, in as few turns as it takes."""


class Elsewhere(Sequence[Any]):
    """A chunk of user data that is fetched from a source when it is looked at."""

    source: Any

    def place(self, i: int) -> Any:
        """Where item i stands, as the source knows it."""
        raise NotImplementedError


@dataclass(frozen=True, eq=False)
class Column:
    """An immutable view of a flat array that later views extend in place."""

    _buffer: np.ndarray
    size: int = 0
    # Values written into the buffer: only the view that ends there extends in place.
    _written: list[int] = field(default_factory=lambda: [0])

    @property
    def values(self) -> np.ndarray:
        """The values, shape (size,); not to be written to."""
        return self._buffer[: self.size]

    def append(self, values: np.ndarray) -> "Column":
        """A view with these values behind the present ones."""
        buffer, written = self._buffer, self._written
        end = self.size + len(values)
        if written[0] != self.size or end > len(buffer):
            # Twice while small; an eighth more of what counts in memory.
            spare = self.size if self.size < _SMALL else self.size // 8
            buffer = np.empty(max(end, self.size + spare, 16), buffer.dtype)
            buffer[: self.size] = self.values
            written = [self.size]
        buffer[self.size : end] = values
        written[0] = end
        return Column(buffer, end, written)


@dataclass(frozen=True, eq=False)
class Items:
    """An immutable view of user data: chunks of arrays, of lists, or of nothing."""

    size: int = 0
    _n_chunks: int = 0
    _chunks: list["Sequence[Any] | np.ndarray | None"] = field(default_factory=list)
    _starts: list[int] = field(default_factory=list)

    def append(self, chunk: "Sequence[Any] | np.ndarray | None", n: int) -> "Items":
        """A view with `n` more items: a sequence of n, or None for n times None."""
        if not n:
            return self
        chunks, starts = self._chunks, self._starts
        if len(chunks) != self._n_chunks:
            chunks, starts = chunks[: self._n_chunks], starts[: self._n_chunks]
        chunks.append(chunk)
        starts.append(self.size)
        return Items(self.size + n, self._n_chunks + 1, chunks, starts)

    def __getitem__(self, row: int) -> Any:
        at = bisect_right(self._starts, row, hi=self._n_chunks) - 1
        chunk = self._chunks[at]
        return None if chunk is None else chunk[row - self._starts[at]]

    def take(self, rows: list[int]) -> list[Any]:
        """The items of these rows; those that stand elsewhere are fetched together."""
        taken: list[Any] = [None] * len(rows)
        if self._n_chunks == 1 and self._chunks[0] is None:
            return taken
        asked: dict[int, tuple[Source, list[int], list[Any]]] = {}
        for i, row in enumerate(rows):
            at = bisect_right(self._starts, row, hi=self._n_chunks) - 1
            chunk, within = self._chunks[at], row - self._starts[at]
            if isinstance(chunk, Elsewhere):
                source = chunk.source
                _, to, places = asked.setdefault(id(source), (source, [], []))
                to.append(i)
                places.append(chunk.place(within))
            elif chunk is not None:
                taken[i] = chunk[within]
        for source, to, places in asked.values():
            for i, item in zip(to, source.fetch(places), strict=True):
                taken[i] = item
        return taken

    def chunks(self) -> "Iterator[tuple[int, int, Sequence[Any] | np.ndarray | None]]":
        """(first row, number of rows, items or None) of each chunk."""
        starts = [*self._starts[: self._n_chunks], self.size]
        for at in range(self._n_chunks):
            yield starts[at], starts[at + 1] - starts[at], self._chunks[at]

    def part(self, start: int, end: int) -> "np.ndarray | list[Any]":
        """Items `start` to `end`: one array if they are rows of arrays alike."""
        first = max(bisect_right(self._starts, start, hi=self._n_chunks) - 1, 0)
        found: list[Sequence[Any] | np.ndarray | None] = []
        for at in range(first, self._n_chunks):
            begin, chunk = self._starts[at], self._chunks[at]
            if begin >= end:
                break
            stop = self._starts[at + 1] if at + 1 < self._n_chunks else self.size
            low, high = max(start, begin), min(end, stop)
            if chunk is None:
                found.append([None] * (high - low))
            else:
                found.append(chunk[low - begin : high - begin])
        kinds = {
            (part.dtype, part.shape[1:]) if isinstance(part, np.ndarray) else None
            for part in found
        }
        if len(kinds) == 1 and None not in kinds:
            return np.concatenate(found)  # type: ignore[arg-type]
        return [item for part in found for item in part]  # type: ignore[union-attr]

    def is_empty(self) -> bool:
        """Whether no item has any data."""
        return all(chunk is None for chunk in self._chunks[: self._n_chunks])
