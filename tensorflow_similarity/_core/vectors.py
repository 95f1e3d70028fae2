"""Rows of float32 in blocks, seen through immutable views.

A view never changes: appending and removing return a new one that shares the blocks.
So readers hold a view as long as they like while a writer goes on. Blocks stand in
memory, or in a file, mapped, where they are checked when they are first used.
"""

import secrets
import zlib
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

# One block of this size is what a matrix product keeps in the cache (measured: 64
# queries x 8,192 rows of 64 is twice as fast as one product over 100,000 rows).
_BLOCK_BYTES = 2 * 1024 * 1024
# So few rows, the neighbours of one query, are copied faster one by one.
_FEW = 32


def rows_per_block(dim: int) -> int:
    """Rows in a block: a power of two, at least 16."""
    fitting = max(16, _BLOCK_BYTES // (4 * max(dim, 1)))
    return 1 << (fitting.bit_length() - 1)


class Block:
    """Rows and their squared lengths, in memory; further rows may be written behind.

    Args:
        rows: float32, shape (rows_per_block(dim), dim).
        squares: float32, shape (rows_per_block(dim),).
        token: a name that no other content has; files are named after it.
    """

    in_memory = True

    def __init__(self, rows: np.ndarray, squares: np.ndarray, token: str = ""):
        self.rows = rows
        self.squares = squares
        self.token = token or secrets.token_hex(8)
        self._checked = (0, 0)

    @classmethod
    def empty(cls, dim: int) -> "Block":
        height = rows_per_block(dim)
        return cls(np.empty((height, dim), np.float32), np.empty(height, np.float32))

    @classmethod
    def of(cls, rows: np.ndarray, token: str = "") -> "Block":
        """A block in memory of these rows, and of no more if they fill it."""
        block = cls.empty(rows.shape[1])
        block.rows[: len(rows)] = rows
        block.squares[: len(rows)] = _squares(rows)
        block.token = token or block.token
        return block

    def copy(self) -> "Block":
        """The same rows under a name of their own: they may go on differently."""
        return Block(self.rows.copy(), self.squares.copy())

    def checksum(self, n_rows: int) -> int:
        """CRC32 of the first rows, taken up where the last call ended."""
        seen, value = self._checked
        if seen > n_rows:
            seen, value = 0, 0
        value = checksum_of(self.rows[seen:n_rows], value)
        self._checked = (n_rows, value)
        return value


class MappedBlock:
    """Rows in a file, read by the operating system as they are used.

    The first use reads them all once, compares their checksum, and keeps their squared
    lengths.

    Args:
        file: where they stand.
        offset: bytes before them.
        mapped: float32, shape (rows, dim): a part of a mapping of the file, which
            several blocks share, since each mapping takes a file descriptor.
        checksum: CRC32 that the rows must have.
        squares: their squared lengths, if the rows are known to be as they were
            written.

    Raises:
        ValueError: at the first use, if the rows are not as they were written.
    """

    in_memory = False

    def __init__(
        self,
        file: Path,
        offset: int,
        mapped: np.ndarray,
        checksum: int,
        token: str = "",
        squares: np.ndarray | None = None,
    ):
        self.token = token or secrets.token_hex(8)
        self._file = file
        self._offset = offset
        self._checksum = checksum
        self._mapped = mapped
        self._squares = squares

    def move(self, mapped: np.ndarray) -> None:
        """The same rows in another mapping."""
        self._mapped = mapped

    @property
    def rows(self) -> np.ndarray:
        if self._squares is None:
            self._check()
        return self._mapped

    @property
    def squares(self) -> np.ndarray:
        if self._squares is None:
            self._check()
        return self._squares  # type: ignore[return-value]

    def copy(self) -> Block:
        return Block.of(np.asarray(self.rows))

    def checksum(self, n_rows: int) -> int:
        if n_rows == len(self._mapped):
            return self._checksum
        return checksum_of(self.rows[:n_rows])

    def _check(self) -> None:
        if checksum_of(self._mapped) != self._checksum:
            raise ValueError(
                f"The file {str(self._file)!r} is damaged: {len(self._mapped)} vectors "
                f"from byte {self._offset} on are not as they were written. Restore it "
                "from a copy, or make the index again from your data."
            )
        self._squares = _squares(self._mapped)


def checksum_of(rows: np.ndarray, before: int = 0) -> int:
    """CRC32 of rows, taken up from that of the rows before them."""
    return zlib.crc32(np.ascontiguousarray(rows).data, before)


def _squares(rows: np.ndarray) -> np.ndarray:
    return np.einsum("nd,nd->n", rows, rows)


@dataclass(frozen=True, eq=False)
class Vectors:
    """An immutable view of rows, numbered from 0; removed rows keep their number.

    Args:
        dim: width of a row.
        size: number of rows in this view, removed ones included.
        dead: bool, shape (size,), True where a row was removed; None if none was.
    """

    dim: int
    size: int = 0
    dead: np.ndarray | None = None
    n_dead: int = 0
    parts: tuple[Block | MappedBlock, ...] = ()
    # Rows written into the last block, shared by the views that share the block: the
    # one view that ends there may append in place, any other must copy.
    _written: list[int] = field(default_factory=lambda: [0])

    @property
    def n_alive(self) -> int:
        return self.size - self.n_dead

    @property
    def nbytes(self) -> int:
        """Bytes of memory that the blocks of this view take."""
        held = [part for part in self.parts if part.in_memory]
        return sum(part.rows.nbytes + part.squares.nbytes for part in held)

    def append(self, rows: np.ndarray) -> "Vectors":
        """A view with these rows (n, dim) after the present ones."""
        height = rows_per_block(self.dim)
        parts, written = list(self.parts), self._written
        if written[0] != self.size or (parts and not parts[-1].in_memory):
            written = [self.size]
            if self.size % height:
                parts[-1] = parts[-1].copy()
        size, taken = self.size, 0
        while taken < len(rows):
            offset = size % height
            if offset == 0:
                parts.append(Block.empty(self.dim))
            n = min(height - offset, len(rows) - taken)
            new = slice(offset, offset + n)
            parts[-1].rows[new] = rows[taken : taken + n]
            parts[-1].squares[new] = _squares(parts[-1].rows[new])
            size, taken = size + n, taken + n
        written[0] = size
        dead = self.dead
        if dead is not None:
            dead = np.concatenate([dead, np.zeros(len(rows), bool)])
        return Vectors(self.dim, size, dead, self.n_dead, tuple(parts), written)

    def remove(self, rows: np.ndarray) -> "Vectors":
        """A view in which these rows are dead; the rows must be alive and distinct."""
        dead = np.zeros(self.size, bool) if self.dead is None else self.dead.copy()
        dead[rows] = True
        return replace(self, dead=dead, n_dead=self.n_dead + len(rows))

    def masked(self, allowed: np.ndarray) -> "Vectors":
        """A view in which the rows that are not allowed, bool (size,), are dead too."""
        dead = ~allowed if self.dead is None else self.dead | ~allowed
        return replace(self, dead=dead, n_dead=int(np.count_nonzero(dead)))

    def checksum(self, n_rows: int) -> int:
        """CRC32 of the checksums of the blocks of the first rows, removed ones too."""
        height, value = rows_per_block(self.dim), 0
        for i, part in enumerate(self.parts[: -(-n_rows // height)]):
            of_block = part.checksum(min(height, n_rows - i * height))
            value = zlib.crc32(of_block.to_bytes(4, "little"), value)
        return value

    def with_part(self, number: int, part: MappedBlock) -> "Vectors":
        """The view with one full block in another place."""
        parts = (*self.parts[:number], part, *self.parts[number + 1 :])
        return replace(self, parts=parts)

    def alive_rows(self, start: int = 0, end: int | None = None) -> np.ndarray:
        """Numbers of the rows of [start, end) that were not removed, ascending."""
        end = self.size if end is None else end
        if self.dead is None:
            return np.arange(start, end)
        return np.flatnonzero(~self.dead[start:end]) + start

    def take(self, rows: np.ndarray) -> np.ndarray:
        """A copy of these rows, shape (*rows.shape, dim)."""
        if len(self.parts) == 1:
            return np.asarray(self.parts[0].rows[rows])
        height = rows_per_block(self.dim)
        taken = np.empty((*rows.shape, self.dim), np.float32)
        numbers = rows.ravel()
        flat = taken.reshape(len(numbers), self.dim)
        if len(numbers) <= _FEW:
            for i, row in enumerate(numbers.tolist()):
                flat[i] = self.parts[row // height].rows[row % height]
            return taken
        at = numbers // height
        order = np.argsort(at, kind="stable")
        used, firsts = np.unique(at[order], return_index=True)
        for i, here in zip(used.tolist(), np.split(order, firsts[1:]), strict=False):
            flat[here] = self.parts[i].rows[numbers[here] % height]
        return taken

    def blocks(
        self, start: int = 0, end: int | None = None
    ) -> "list[tuple[int, np.ndarray, np.ndarray]]":
        """Rows [start, end): (number of the first row, rows, squared lengths)."""
        height, end = rows_per_block(self.dim), self.size if end is None else end
        parts = []
        for i in range(start // height, len(self.parts)):
            first, last = max(start, i * height), min(end, (i + 1) * height)
            if first < last:
                within = slice(first - i * height, last - i * height)
                part = self.parts[i]
                parts.append((first, part.rows[within], part.squares[within]))
        return parts
