"""Growing columns seen through immutable views, like `Vectors` for anything else."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np


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
            buffer = np.empty(max(end, 2 * self.size, 16), buffer.dtype)
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

    def as_array(self, rows: np.ndarray) -> np.ndarray | None:
        """These items as one array, None if they are not rows of arrays alike."""
        chunks = self._chunks[: self._n_chunks]
        kinds = {
            (chunk.dtype, chunk.shape[1:]) if isinstance(chunk, np.ndarray) else None
            for chunk in chunks
        }
        if len(kinds) != 1 or None in kinds:
            return None
        return np.concatenate(chunks)[rows]  # type: ignore[arg-type]

    def is_empty(self) -> bool:
        """Whether no item has any data."""
        return all(chunk is None for chunk in self._chunks[: self._n_chunks])
