"""The contract of searches: a structure derived from rows, an exact tail, the dead."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from tensorflow_similarity import distances
from tensorflow_similarity._core import doors, files
from tensorflow_similarity._core.vectors import Vectors
from tensorflow_similarity.distances import Distance
from tensorflow_similarity.search.exact import _measure, exact_top_k
from tensorflow_similarity.search.kernels import kernel_of

_ROWS_FILE = "rows.npz"
# A tail longer than this share of the structure is worth a new one.
_TAIL_SHARE = 0.25


@dataclass(frozen=True, eq=False)
class SearchState:
    """What a search knows, never changed in place.

    Args:
        vectors: the rows, owned by a store or by the search itself.
        structure: what `_build` made of the rows alive at the time; None: nothing.
        n_built: the rows up to this one are in the structure, the others are the tail.
        rows: the structure's position -> row, -1 for a row that has gone; None where
            position and row are the same number.
    """

    vectors: Vectors
    structure: Any = None
    n_built: int = 0
    rows: np.ndarray | None = None

    @property
    def n_positions(self) -> int:
        """How many rows the structure was made of."""
        return self.n_built if self.rows is None else len(self.rows)


class Search(ABC):
    """Finds the nearest rows. Derived data: it can always be rebuilt from the rows.

    What was added is found at once: rows that are not in the structure yet are
    searched exactly, removed rows are masked, and the answers are joined. A backend
    writes `_build` and `_lookup` for a structure over fixed rows, `_save` and `_load`
    for its file; all else is done here.

    Alone, a search owns its rows and knows them by integer ids of the user's choice.
    Under an `Indexer` it borrows the rows of the store, by `follow`.

    Args:
        distance: name of a distance or a `Distance`.
        dim: int, width of the embeddings.
        name: string. Defaults to the class's own name for itself.
        verbose: int; accepted as existing programs pass it, not used.

    Raises:
        ValueError: for an unknown distance, one that this search cannot do, or a
            `dim` below 1.
    """

    default_name = ""

    def __init__(
        self,
        distance: str | Distance,
        dim: int,
        name: str | None = None,
        verbose: int = 0,
        rescore: int | None = None,
    ):
        if isinstance(dim, bool) or not isinstance(dim, int | np.integer) or dim < 1:
            raise ValueError(
                f"`dim` must be an integer of at least 1. Received: dim={dim!r}."
            )
        self.distance: Distance = distances.get(distance)
        self.dim = int(dim)
        self.name = name or self.default_name
        self.verbose = verbose
        self.rescore = rescore
        self._kernel = kernel_of(self.distance)
        self._state: SearchState
        self._ids: np.ndarray
        self.reset()

    # What a backend writes.

    @abstractmethod
    def _build(self, vectors: Vectors, rows: np.ndarray) -> Any:
        """A structure over these rows, or None where exact search is as good.

        Position i of the structure is `rows[i]`.
        """

    def _lookup(
        self, structure: Any, queries: np.ndarray, k: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Positions, int64 (n, m), and distances, float32, both (n, m), m at most k.

        Nearest first, in the unit of the distance; -1 and inf where too few came.
        """
        raise NotImplementedError

    def _save(self, structure: Any, path: Path) -> None:
        """Writes the structure into the new, empty folder `path`."""
        raise NotImplementedError

    def _load(self, path: Path, n_positions: int) -> Any:
        """The structure that `_save` wrote; nothing under `path` is needed later."""
        raise NotImplementedError

    def _wants_structure(self, n_rows: int) -> bool:
        """Whether so many rows are worth a structure."""
        return False

    # Functions of a state, for the one who owns the rows.

    def follow(self, state: SearchState, vectors: Vectors) -> SearchState:
        """The state over later rows: the new ones are the tail."""
        return replace(state, vectors=vectors)

    def built(self, state: SearchState, force: bool = False) -> SearchState:
        """The state with a fresh structure, if the rows want one or `force` says so."""
        vectors = state.vectors
        wants = vectors.n_alive > 0 and (
            force or self._wants_structure(vectors.n_alive)
        )
        if state.structure is None:
            if not wants:
                return state
        elif not force and not self._is_outgrown(state):
            return state
        rows = vectors.alive_rows()
        structure = self._build(vectors, rows) if wants else None
        if structure is None:
            return SearchState(vectors)
        same = len(rows) == vectors.size
        return SearchState(vectors, structure, vectors.size, None if same else rows)

    def find(
        self, state: SearchState, queries: np.ndarray, k: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """The nearest rows of each query: rows and distances.

        Args:
            queries: float32, shape (n, dim), checked.
            k: at least 1.

        Returns:
            rows, int64, and distances, float32, both (n, min(k, rows alive)).
        """
        vectors = state.vectors
        k = min(k, vectors.n_alive)
        if state.structure is None or not k:
            return exact_top_k(self._kernel, vectors, queries, k)
        n_positions = state.n_positions
        n_gone = self._count_gone(state)
        # The gone take places in the structure's answer: ask for some more.
        wanted = k * (self.rescore or 1)
        asked = min(wanted + min(n_gone, k + 16), n_positions)
        rows, distances = self._lookup(state.structure, queries, asked)
        if self.rescore is not None:
            missing = rows < 0
            own = rows if state.rows is None else state.rows[rows]
            distances = _measure(self._kernel, vectors, queries, np.maximum(own, 0))
            distances[missing] = np.inf
            order = np.argsort(distances, axis=1, kind="stable")[:, :asked]
            rows = np.take_along_axis(rows, order, 1)
            distances = np.take_along_axis(distances, order, 1)
        plain = state.rows is None and not n_gone and state.n_built == vectors.size
        if plain and rows.shape[1] == k and (rows[:, -1] >= 0).all():
            return rows, distances
        rows, distances = self._without_gone(state, rows, distances)
        if vectors.size > state.n_built:
            tail = exact_top_k(self._kernel, vectors, queries, k, start=state.n_built)
            rows = np.concatenate([rows, tail[0]], axis=1)
            distances = np.concatenate([distances, tail[1]], axis=1)
        order = np.argsort(distances, axis=1, kind="stable")[:, :k]
        rows = np.take_along_axis(rows, order, 1)
        distances = np.take_along_axis(distances, order, 1)
        if rows.shape[1] < k:
            return exact_top_k(self._kernel, vectors, queries, k)
        short = np.flatnonzero(rows[:, -1] < 0)
        if len(short):
            exact = exact_top_k(self._kernel, vectors, queries[short], k)
            rows[short], distances[short] = exact
        return rows, distances

    def _is_outgrown(self, state: SearchState) -> bool:
        """Whether too much came or went since the structure was built."""
        tail, gone = state.vectors.size - state.n_built, self._count_gone(state)
        return max(tail, gone) > _TAIL_SHARE * state.n_positions

    def _count_gone(self, state: SearchState) -> int:
        """How many of the structure's positions no longer stand for a row."""
        dead = state.vectors.dead
        if state.rows is None:
            return 0 if dead is None else int(np.count_nonzero(dead[: state.n_built]))
        gone = int(np.count_nonzero(state.rows < 0))
        if dead is not None:
            gone += int(np.count_nonzero(dead[state.rows[state.rows >= 0]]))
        return gone

    def _without_gone(
        self, state: SearchState, positions: np.ndarray, distances: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Rows for positions, -1 and inf for what has gone."""
        missing = positions < 0
        rows = positions if state.rows is None else state.rows[positions]
        rows = np.where(missing, -1, rows)
        if state.vectors.dead is not None:
            rows = np.where((rows >= 0) & state.vectors.dead[rows], -1, rows)
        return rows, np.where(rows < 0, np.float32(np.inf), distances)

    def save_state(self, state: SearchState, path: str | Path) -> None:
        """Writes the structure, if there is one, into the new folder `path`.

        The rows are the owner's to write, without the dead; what is written here
        counts the rows as they will be then.
        """
        path = Path(path)
        path.mkdir(parents=True)
        alive = state.vectors.alive_rows()
        renumbered = np.full(state.vectors.size, -1)
        renumbered[alive] = np.arange(len(alive))
        rows = renumbered[: state.n_built]
        if state.rows is not None:
            rows = np.where(state.rows < 0, -1, renumbered[state.rows])
        n_built = int(np.count_nonzero(alive < state.n_built))
        if np.array_equal(rows, np.arange(len(rows))):
            rows = np.empty(0, np.int64)
        built = state.structure is not None
        # Written in any case: what the manifest does not list is never read.
        np.savez(path / _ROWS_FILE, rows=rows, n_built=n_built, built=built)
        if built:
            (path / "structure").mkdir()
            self._save(state.structure, path / "structure")

    def load_state(self, path: str | Path, vectors: Vectors) -> SearchState:
        """The state that `save_state` wrote, over the rows as they were written."""
        path = Path(path)
        arrays = files.read_arrays(path / _ROWS_FILE)
        if not arrays["built"]:
            return SearchState(vectors)
        rows, n_built = arrays["rows"].astype(np.int64), int(arrays["n_built"])
        n_positions = len(rows) or n_built
        structure = self._load(path / "structure", n_positions)
        if structure is None:
            return SearchState(vectors)
        return SearchState(vectors, structure, n_built, rows if len(rows) else None)

    # Alone, with rows of its own.

    def add(
        self, embedding: Any, idx: int, verbose: int = 0, build: bool = True
    ) -> None:
        """Adds one embedding, shape (dim,), by `batch_add`."""
        row = doors.as_embedding(embedding, self.dim)
        self.batch_add(row, [idx], verbose, build)

    def batch_add(
        self, embeddings: Any, idxs: Any, verbose: int = 0, build: bool = True
    ) -> None:
        """Adds rows; an id that is there already gets the new row in place of its own.

        Args:
            embeddings: shape (n, dim), finite.
            idxs: n distinct integers of 64 bits.
            build: whether a structure may be built now; what is added is found anyway.

        Raises:
            ValueError: for wrong widths, NaN, repeated or too few ids.
        """
        rows = doors.as_embeddings(embeddings, self.dim)
        ids = doors.as_ids(idxs, "idxs")
        if len(ids) != len(rows):
            raise ValueError(
                f"`idxs` must hold one id for each embedding. Received: {len(ids)} ids "
                f"for {len(rows)} embeddings."
            )
        if len(np.unique(ids)) < len(ids):
            raise ValueError("`idxs` must be distinct. Received an id more than once.")
        state = self._state
        present = self._rows_of(ids)
        vectors = state.vectors
        if len(present):
            vectors = vectors.remove(present)
        state = self.follow(state, vectors.append(rows))
        self._ids = np.concatenate([self._ids, ids])
        self._state = self.built(state) if build else state

    def remove(self, idxs: Any) -> int:
        """Removes the rows with these ids; returns how many were there."""
        rows = self._rows_of(doors.as_ids(idxs, "idxs"))
        if len(rows):
            self._state = self.follow(self._state, self._state.vectors.remove(rows))
        return len(rows)

    def build(self, force: bool = False) -> Self:
        """Builds the structure if the rows want one, or in any case with `force`."""
        self._state = self.built(self._state, force)
        return self

    def lookup(self, embedding: Any, k: int = 5) -> tuple[np.ndarray, np.ndarray]:
        """Ids and distances of one embedding's neighbours, both (min(k, size),)."""
        ids, found = self.batch_lookup(doors.as_embedding(embedding, self.dim), k)
        return ids[0], found[0]

    def batch_lookup(
        self, embeddings: Any, k: int = 5
    ) -> tuple[np.ndarray, np.ndarray]:
        """The nearest neighbours of each query, nearest first.

        Args:
            embeddings: queries, shape (n, dim), finite.
            k: at least 1; more than the size gives a short answer.

        Returns:
            ids: int64, shape (n, min(k, size)); distances: float32, alike.

        Raises:
            ValueError: for wrong widths, NaN, or k below 1.
        """
        queries = doors.as_embeddings(embeddings, self.dim, "queries")
        rows, found = self.find(self._state, queries, doors.as_k(k))
        return self._ids[rows], found

    def __len__(self) -> int:
        return self._state.vectors.n_alive

    def is_built(self) -> bool:
        """Whether a structure answers; without one, all rows are searched exactly."""
        return self._state.structure is not None

    def reset(self) -> None:
        """Forgets every row."""
        self._state = SearchState(Vectors(self.dim))
        self._ids = np.empty(0, np.int64)

    def _rows_of(self, ids: np.ndarray) -> np.ndarray:
        there = np.isin(self._ids, ids)
        if self._state.vectors.dead is not None:
            there &= ~self._state.vectors.dead
        return np.flatnonzero(there)

    def save(self, path: str | Path) -> None:
        """Writes rows, ids and structure to the folder `path`, whole or not at all."""
        state, alive = self._state, self._state.vectors.alive_rows()
        with files.written_folder(path, kind="search") as folder:
            folder.facts.update(name=self.name, distance=self.distance.name)
            folder.facts.update(dim=self.dim, size=len(alive))
            vectors = state.vectors.take(alive)
            np.savez(folder.path / "rows.npz", embeddings=vectors, ids=self._ids[alive])
            self.save_state(state, folder.path / "search")

    def load(self, path: str | Path) -> None:
        """Reads what `save` wrote, in place of what is here.

        Raises:
            ValueError: for a folder that is damaged, newer, or of another width or
                distance.
        """
        facts = files.checked_folder(path, kind="search")
        expected = {"distance": self.distance.name, "dim": self.dim}
        for key, value in expected.items():
            if facts.get(key) != value:
                raise ValueError(
                    f"The search in {str(path)!r} has {key} {facts.get(key)!r}, this "
                    f"one has {value!r}. Load it into a search made like it."
                )
        arrays = files.read_arrays(Path(path) / "rows.npz")
        vectors = Vectors(self.dim).append(arrays["embeddings"])
        self._state = self.load_state(Path(path) / "search", vectors)
        self._ids = arrays["ids"]

    def get_config(self) -> dict[str, Any]:
        """What makes the same search again, without its rows."""
        return {
            "distance": distances.serialize(self.distance),
            "dim": self.dim,
            "name": self.name,
            "verbose": self.verbose,
            "rescore": self.rescore,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """A search from what `get_config` gave."""
        config = dict(config)
        config["distance"] = distances.get(config["distance"])
        return cls(**config)
