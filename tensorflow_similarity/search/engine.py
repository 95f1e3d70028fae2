"""What is done with a search's state: follow, build, find, save, load."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from tensorflow_similarity import distances
from tensorflow_similarity._core import files
from tensorflow_similarity._core.vectors import Vectors
from tensorflow_similarity.distances import Distance
from tensorflow_similarity.search import state_files
from tensorflow_similarity.search.copies import collapsed
from tensorflow_similarity.search.exact import exact_top_k, measured
from tensorflow_similarity.search.kernels import kernel_of
from tensorflow_similarity.search.segments import (
    Piece,
    SearchState,
    Segment,
    merged,
    pieces_of,
)

# Of a segment with fewer rows left than this share, those are gathered and searched
# exactly: that costs less than asking the structure for so many more.
_FEW_SHARE = 0.05

_Found = tuple[np.ndarray, np.ndarray]


class Engine(ABC):
    """Functions of a `SearchState`, for the one who owns the rows.

    What was added is found at once: rows in no segment yet are searched exactly,
    removed rows are masked, and the answers are joined. A backend writes `_build` and
    `_lookup` for a structure over fixed rows, `_save` and `_load` for its file, and
    `_wants_structure`; all else is done here.

    Args:
        distance: name of a distance or a `Distance`.
        dim: int, width of the embeddings.
        rescore: int of at least 1 or None. With a number c the structure is asked for
            c * k candidates, these are measured exactly, and the k nearest are kept.

    Raises:
        ValueError: for an unknown distance, or a `dim` or `rescore` below 1.
    """

    default_name: ClassVar[str] = ""

    def __init__(self, distance: str | Distance, dim: int, rescore: int | None = None):
        if not _is_count(dim):
            raise ValueError(
                f"`dim` must be an integer of at least 1. Received: dim={dim!r}."
            )
        if rescore is not None and not _is_count(rescore):
            raise ValueError(
                "`rescore` must be an integer of at least 1, or None. Received: "
                f"rescore={rescore!r}."
            )
        self.distance: Distance = distances.get(distance)
        self.dim = int(dim)
        self.rescore = None if rescore is None else int(rescore)
        self._kernel = kernel_of(self.distance)

    # What a backend writes.

    @abstractmethod
    def _build(self, vectors: Vectors, rows: np.ndarray) -> Any:
        """A structure over these rows, or None where exact search is as good.

        Position i of the structure is `rows[i]`; no row stands in it many times.
        """

    def _lookup(self, structure: Any, queries: np.ndarray, k: int) -> _Found:
        """Positions, int64 (n, m), and distances, float32, both (n, m), m at most k.

        Nearest first, in the unit of the distance; -1 and inf where too few came.
        Called by many threads at a time.
        """
        raise NotImplementedError

    def _save(self, structure: Any, path: Path) -> None:
        """Writes the structure into the new, empty folder `path`."""
        raise NotImplementedError

    def _load(self, path: Path, n_positions: int) -> Any:
        """The structure that `_save` wrote; nothing under `path` is needed later.

        None where it cannot be read here: its rows are then searched exactly.
        """
        raise NotImplementedError

    def _wants_structure(self, n_rows: int) -> bool:
        """Whether so many rows are worth a structure."""
        return False

    def describe(self, structures: Sequence[Any]) -> str:
        """What answers for these structures of a state, in words."""
        if not structures:
            return "exact"
        return "graph" if len(structures) == 1 else f"{len(structures)} graphs"

    # Building.

    def follow(self, state: SearchState, vectors: Vectors) -> SearchState:
        """The state over later rows: the new ones are the tail."""
        return replace(state, vectors=vectors)

    def built(
        self, state: SearchState, force: bool = False, tail: bool = False
    ) -> SearchState:
        """The state with the structures that its rows want.

        A tail that is long enough becomes a segment, a segment of which too much is
        gone is made anew, and what is then short beside what follows it is merged.

        Args:
            force: one fresh structure of all rows, wanted or not.
            tail: a tail of any length becomes a segment, if the rows as a whole want
                structures.
        """
        vectors = state.vectors
        pieces = pieces_of(state)
        in_tail = vectors.n_alive - sum(state.n_alive)
        if force:
            pieces = [Piece(0, vectors.size, vectors.n_alive)]
        elif self._is_sealed(state, in_tail, tail):
            pieces.append(Piece(state.n_built, vectors.size, in_tail))
        elif all(piece.segment for piece in pieces):
            return state
        elif not self._wants_structure(vectors.n_alive):
            return SearchState(vectors)
        segments = []
        for piece in merged(pieces):
            segment = piece.segment or self._segment(vectors, piece.start, piece.end)
            if segment is None:  # no structure can be had here
                return SearchState(vectors)
            segments.append(segment)
        if not segments:
            return SearchState(vectors)
        return SearchState(vectors, tuple(segments), pieces[-1].end)

    def _is_sealed(self, state: SearchState, in_tail: int, tail: bool) -> bool:
        wants = self._wants_structure
        # Beside a structure each query pays for the tail, too: half as many are enough.
        long = wants(2 * in_tail if state.segments else in_tail)
        return long or (tail and in_tail > 0 and wants(state.vectors.n_alive))

    def _segment(self, vectors: Vectors, start: int, end: int) -> Segment | None:
        rows = vectors.alive_rows(start, end)
        kept, copies = collapsed(vectors, rows)
        structure = self._build(vectors, kept)
        if structure is None:
            return None
        if len(kept) == end - start:
            return Segment(structure, start, end)
        return Segment(structure, start, end, kept.astype(np.int32), copies)

    # Finding.

    def find(
        self, state: SearchState, queries: np.ndarray, k: int, exact: bool = False
    ) -> _Found:
        """The nearest rows of each query: rows and distances.

        Args:
            queries: float32, shape (n, dim), checked.
            k: at least 1.
            exact: whether every row is compared, whatever structures there are.

        Returns:
            rows, int64, and distances, float32, both (n, min(k, rows alive)).
        """
        vectors = state.vectors
        k = min(k, vectors.n_alive)
        if exact or not state.segments or not k:
            return exact_top_k(self._kernel, vectors, queries, k)
        if state.is_plain and self.rescore is None:
            found = self._lookup(state.segments[0].structure, queries, k)
            if found[0].shape[1] == k and (found[0][:, -1] >= 0).all():
                return found
        parts = [
            self._of_segment(state, i, queries, min(k, n_alive))
            for i, n_alive in enumerate(state.n_alive)
            if n_alive
        ]
        if state.n_built < vectors.size:
            tail = exact_top_k(self._kernel, vectors, queries, k, state.n_built)
            parts.append(tail)
        if len(parts) == 1:
            return parts[0]
        rows = np.concatenate([part[0] for part in parts], axis=1)
        return _nearest(rows, np.concatenate([part[1] for part in parts], axis=1), k)

    def _of_segment(
        self, state: SearchState, number: int, queries: np.ndarray, k: int
    ) -> _Found:
        """The k nearest rows of one segment; at least so many are there."""
        vectors, segment = state.vectors, state.segments[number]
        n_alive, n_positions = state.n_alive[number], segment.n_positions
        n_wanted = min(k * (self.rescore or 1), n_alive)
        n_gone = segment.n_rows - n_alive
        # Those that are gone take places in the structure's answer: twice the places
        # that they take on average, and some.
        more = 2 * -(-n_wanted * n_gone // n_alive) + 16 if n_gone else 0
        if n_alive < _FEW_SHARE * segment.n_rows or n_wanted + more >= n_positions:
            return self._exact_of_segment(state, segment, queries, k)
        found = self._lookup(segment.structure, queries, n_wanted + more)
        rows, values = _living(state, number, *found, n_wanted)
        if self.rescore is not None:
            missing = rows < 0
            values = measured(self._kernel, vectors, queries, np.maximum(rows, 0))
            values[missing] = np.inf
        if n_gone or self.rescore is not None:
            rows, values = _nearest(rows, values, k)
        if rows.shape[1] < k:
            return self._exact_of_segment(state, segment, queries, k)
        short = np.flatnonzero(rows[:, -1] < 0)
        if len(short):
            exact = self._exact_of_segment(state, segment, queries[short], k)
            rows[short], values[short] = exact
        return rows, values

    def _exact_of_segment(
        self, state: SearchState, segment: Segment, queries: np.ndarray, k: int
    ) -> _Found:
        within = (segment.start, segment.end)
        return exact_top_k(self._kernel, state.vectors, queries, k, *within)

    # Files.

    def save_state(self, state: SearchState, folder: files.NewFolder, at: str) -> None:
        """Writes the segments under `at` of a folder that is being written.

        Those that the folder before it holds already are taken over as they are. The
        rows are the owner's to write, the removed ones too: they keep their numbers.
        """
        state_files.write(state, folder, at, self._identity(), self._save)

    def load_state(self, path: str | Path, vectors: Vectors) -> SearchState:
        """The state that `save_state` wrote, over the rows as they were written.

        Structures of other rows, of another distance or by another search are left
        out: all rows are then searched exactly until they are built.

        Raises:
            ValueError: for files that are not as they were written.
        """
        return state_files.read(Path(path), vectors, self._identity(), self._load)

    def _identity(self) -> dict[str, Any]:
        """What a structure must have been made with to be of use here."""
        return {
            "search": self.default_name,
            "distance": self.distance.name,
            "dim": self.dim,
        }


def _is_count(value: Any) -> bool:
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    return whole and value >= 1


def _living(
    state: SearchState,
    number: int,
    positions: np.ndarray,
    distances: np.ndarray,
    n: int,
) -> _Found:
    """Rows for the positions of a segment, -1 and inf for those that are gone."""
    segment, copies = state.segments[number], state.copies[number]
    dead = state.vectors.dead
    if copies is not None and segment.rows is not None:
        return copies.expanded(positions, distances, segment.rows, dead, n)
    rows = segment.rows_at(positions)
    if dead is not None:
        rows = np.where(dead[rows], -1, rows)
        distances = np.where(rows < 0, np.float32(np.inf), distances)
    return rows, distances


def _nearest(rows: np.ndarray, distances: np.ndarray, k: int) -> _Found:
    """The k of least distance, nearest first, equal ones as they come."""
    order = np.argsort(distances, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(rows, order, 1), np.take_along_axis(distances, order, 1)
