"""What a search knows: segments, each a structure and its rows, and a tail."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from tensorflow_similarity._core.vectors import Vectors
from tensorflow_similarity.search.copies import Copies

# A segment of which more than this share is gone is made anew.
_GONE_SHARE = 0.25


@dataclass(frozen=True, eq=False)
class Segment:
    """A structure and the rows that it was made of; it never changes.

    Args:
        structure: what an engine made of the rows.
        start: every row of [start, end) that was alive at the time is in it.
        end: see `start`.
        rows: int32, the structure's position -> row; None: row = start + position.
        copies: rows equal to another's that the structure was made without.
        name: a name that no other content has; files are named after it.
    """

    structure: Any
    start: int
    end: int
    rows: np.ndarray | None = None
    copies: Copies | None = None
    name: str = field(default_factory=lambda: secrets.token_hex(8))

    @property
    def n_positions(self) -> int:
        """How many rows the structure was made of."""
        return self.end - self.start if self.rows is None else len(self.rows)

    @property
    def n_rows(self) -> int:
        """How many rows it answers for, copies and rows gone since included."""
        further = 0 if self.copies is None else self.copies.n_further
        return self.n_positions + further

    def n_alive(self, vectors: Vectors) -> int:
        """How many of its rows are still there."""
        if vectors.dead is None:
            return self.n_rows
        n_dead = np.count_nonzero(vectors.dead[self.start : self.end])
        return self.end - self.start - int(n_dead)

    def rows_at(self, positions: np.ndarray) -> np.ndarray:
        """Rows, int64, of positions; -1 stays."""
        if self.rows is not None:
            rows = self.rows[positions].astype(np.int64)
        elif self.start:
            rows = positions + self.start
        else:
            return positions
        return np.where(positions < 0, -1, rows)


@dataclass(frozen=True, eq=False)
class SearchState:
    """What a search knows at one moment.

    Args:
        vectors: the rows, owned by a store or by the search itself.
        segments: ascending; no two have a row in common.
        n_built: the rows up to this one are in the segments, or are gone; those from
            it on are the tail, which is searched exactly.
    """

    vectors: Vectors
    segments: tuple[Segment, ...] = ()
    n_built: int = 0

    @cached_property
    def n_alive(self) -> tuple[int, ...]:
        """For each segment how many of its rows are still there."""
        return tuple(segment.n_alive(self.vectors) for segment in self.segments)

    @cached_property
    def copies(self) -> tuple[Copies | None, ...]:
        """For each segment the copies that are still there."""
        return tuple(
            segment.copies and segment.copies.living(self.vectors.dead)
            for segment in self.segments
        )

    @cached_property
    def is_plain(self) -> bool:
        """Whether one structure holds all rows under their own numbers, none gone."""
        return (
            len(self.segments) == 1
            and self.segments[0].rows is None
            and self.segments[0].end == self.vectors.size == self.vectors.n_alive
        )


@dataclass(frozen=True)
class Piece:
    """Rows that have, or are to have, a structure of their own.

    Args:
        start: the first row.
        end: behind the last row.
        n_alive: how many of the rows are there.
        segment: theirs; None if one is to be made.
    """

    start: int
    end: int
    n_alive: int
    segment: Segment | None = None


def pieces_of(state: SearchState) -> list[Piece]:
    """The segments of a state, without their structure where too much of it is gone."""
    pieces = []
    for segment, n_alive in zip(state.segments, state.n_alive, strict=True):
        stays = segment.n_rows - n_alive <= _GONE_SHARE * segment.n_rows
        kept = segment if stays else None
        pieces.append(Piece(segment.start, segment.end, n_alive, kept))
    return pieces


def merged(pieces: Sequence[Piece]) -> list[Piece]:
    """Pieces each longer than all behind it together, the shorter ones made one.

    So n rows are in about log(n) segments, and a row is built into a structure about
    log(n) times however many are added one by one.
    """
    pieces = [piece for piece in pieces if piece.n_alive]
    n_behind = [0]
    for piece in reversed(pieces[1:]):
        n_behind.insert(0, n_behind[0] + piece.n_alive)
    for i, piece in enumerate(pieces[:-1]):
        if piece.n_alive <= n_behind[i]:
            n_alive = piece.n_alive + n_behind[i]
            return [*pieces[:i], Piece(piece.start, pieces[-1].end, n_alive)]
    return pieces
