"""Rows of float32 in blocks, seen through immutable views.

A view never changes: appending and removing return a new one that shares the blocks.
So readers hold a view as long as they like while a writer goes on.
"""

from dataclasses import dataclass, field

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
    _blocks: tuple[np.ndarray, ...] = ()
    _squares: tuple[np.ndarray, ...] = ()
    # Rows written into the last block, shared by the views that share the block: the
    # one view that ends there may append in place, any other must copy.
    _written: list[int] = field(default_factory=lambda: [0])

    @property
    def n_alive(self) -> int:
        return self.size - self.n_dead

    @property
    def nbytes(self) -> int:
        """Bytes of the blocks that hold this view."""
        return sum(b.nbytes for b in self._blocks + self._squares)

    def append(self, rows: np.ndarray) -> "Vectors":
        """A view with these rows (n, dim) after the present ones."""
        height = rows_per_block(self.dim)
        blocks, squares, written = (
            list(self._blocks),
            list(self._squares),
            self._written,
        )
        if written[0] != self.size:
            written = [self.size]
            if blocks:
                blocks[-1], squares[-1] = blocks[-1].copy(), squares[-1].copy()
        size, taken = self.size, 0
        while taken < len(rows):
            offset = size % height
            if offset == 0:
                blocks.append(np.empty((height, self.dim), np.float32))
                squares.append(np.empty(height, np.float32))
            part = rows[taken : taken + height - offset]
            blocks[-1][offset : offset + len(part)] = part
            part = blocks[-1][offset : offset + len(part)]
            squares[-1][offset : offset + len(part)] = np.einsum("nd,nd->n", part, part)
            size, taken = size + len(part), taken + len(part)
        written[0] = size
        dead = self.dead
        if dead is not None:
            dead = np.concatenate([dead, np.zeros(len(rows), bool)])
        return Vectors(
            self.dim, size, dead, self.n_dead, tuple(blocks), tuple(squares), written
        )

    def remove(self, rows: np.ndarray) -> "Vectors":
        """A view in which these rows are dead; the rows must be alive and distinct."""
        dead = np.zeros(self.size, bool) if self.dead is None else self.dead.copy()
        dead[rows] = True
        return Vectors(
            self.dim,
            self.size,
            dead,
            self.n_dead + len(rows),
            self._blocks,
            self._squares,
            self._written,
        )

    def alive_rows(self) -> np.ndarray:
        """Numbers of the rows that were not removed, ascending."""
        if self.dead is None:
            return np.arange(self.size)
        return np.flatnonzero(~self.dead)

    def take(self, rows: np.ndarray) -> np.ndarray:
        """A copy of these rows, shape (*rows.shape, dim)."""
        if len(self._blocks) == 1:
            return self._blocks[0][rows]
        height = rows_per_block(self.dim)
        taken = np.empty((*rows.shape, self.dim), np.float32)
        if rows.ndim == 1 and len(rows) <= _FEW:
            for i, row in enumerate(rows.tolist()):
                taken[i] = self._blocks[row // height][row % height]
            return taken
        at = rows // height
        for i in np.unique(at):
            here = at == i
            taken[here] = self._blocks[i][rows[here] % height]
        return taken

    def blocks(self, start: int = 0) -> "list[tuple[int, np.ndarray, np.ndarray]]":
        """From row `start` on: (number of the first row, rows, squared lengths)."""
        height = rows_per_block(self.dim)
        parts = []
        for i in range(start // height, len(self._blocks)):
            first, end = max(start, i * height), min(self.size, (i + 1) * height)
            if first < end:
                within = slice(first - i * height, end - i * height)
                parts.append((first, self._blocks[i][within], self._squares[i][within]))
        return parts
