"""The contract of searches: rows by the user's ids, found by their distance."""

from pathlib import Path
from typing import Any, Self

import numpy as np

from tensorflow_similarity import distances
from tensorflow_similarity._core import doors, files
from tensorflow_similarity._core.vectors import Vectors
from tensorflow_similarity.distances import Distance
from tensorflow_similarity.search.engine import Engine
from tensorflow_similarity.search.segments import SearchState

_ROWS_FILE = "rows.npz"


class Search(Engine):
    """Finds the nearest rows. Derived data: it can always be rebuilt from the rows.

    Alone, a search owns its rows and knows them by integer ids of the user's choice;
    any number of threads may look up while one adds, removes or builds. Under an
    `Indexer` it borrows the rows of the store: see `Engine`, which also says what a
    backend writes.

    Args:
        distance: name of a distance or a `Distance`.
        dim: int, width of the embeddings.
        name: string. Defaults to the class's own name for itself.
        verbose: int; accepted as existing programs pass it, not used.
        rescore: int of at least 1 or None. With a number c the structure is asked for
            c * k candidates, these are measured exactly, and the k nearest are kept.
            Defaults to None: the structure's own answer.

    Raises:
        ValueError: for an unknown distance, one that this search cannot do, or a
            `dim` or `rescore` below 1.
    """

    def __init__(
        self,
        distance: str | Distance,
        dim: int,
        name: str | None = None,
        verbose: int = 0,
        rescore: int | None = None,
    ):
        super().__init__(distance, dim, rescore)
        self.name = name or self.default_name
        self.verbose = verbose
        # Rows and their ids, swapped as one: a lookup sees both or neither.
        self._held: tuple[SearchState, np.ndarray]
        self.reset()

    @property
    def _state(self) -> SearchState:
        return self._held[0]

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
        state, held_ids = self._held
        present = self._rows_of(ids)
        vectors = state.vectors
        if len(present):
            vectors = vectors.remove(present)
        state = self.follow(state, vectors.append(rows))
        held_ids = np.concatenate([held_ids, ids])
        self._held = state, held_ids
        if build:
            self._held = self.built(state), held_ids

    def remove(self, idxs: Any) -> int:
        """Removes the rows with these ids; returns how many were there."""
        rows = self._rows_of(doors.as_ids(idxs, "idxs"))
        if len(rows):
            state, ids = self._held
            self._held = self.follow(state, state.vectors.remove(rows)), ids
        return len(rows)

    def build(self, force: bool = False) -> Self:
        """Builds what structures the rows want, or one of all rows with `force`."""
        state, ids = self._held
        self._held = self.built(state, force, tail=True), ids
        return self

    def lookup(
        self, embedding: Any, k: int = 5, exact: bool = False
    ) -> tuple[np.ndarray, np.ndarray]:
        """Ids and distances of one embedding's neighbours, both (min(k, size),)."""
        row = doors.as_embedding(embedding, self.dim)
        ids, found = self.batch_lookup(row, k, exact)
        return ids[0], found[0]

    def batch_lookup(
        self, embeddings: Any, k: int = 5, exact: bool = False
    ) -> tuple[np.ndarray, np.ndarray]:
        """The nearest neighbours of each query, nearest first.

        Args:
            embeddings: queries, shape (n, dim), finite.
            k: at least 1; more than the size gives a short answer.
            exact: whether every row is compared. Defaults to False: structures that
                are built answer.

        Returns:
            ids: int64, shape (n, min(k, size)); distances: float32, alike.

        Raises:
            ValueError: for wrong widths, NaN, or k below 1.
        """
        queries = doors.as_embeddings(embeddings, self.dim, "queries")
        state, ids = self._held
        rows, found = self.find(state, queries, doors.as_k(k), exact)
        return ids[rows], found

    def __len__(self) -> int:
        return self._state.vectors.n_alive

    def is_built(self) -> bool:
        """Whether a structure answers; without one, all rows are searched exactly."""
        return bool(self._state.segments)

    def reset(self) -> None:
        """Forgets every row."""
        self._held = SearchState(Vectors(self.dim)), np.empty(0, np.int64)

    def _rows_of(self, ids: np.ndarray) -> np.ndarray:
        state, held_ids = self._held
        there = np.isin(held_ids, ids)
        if state.vectors.dead is not None:
            there &= ~state.vectors.dead
        return np.flatnonzero(there)

    def save(self, path: str | Path) -> None:
        """Writes rows, ids and structure to the folder `path`, whole or not at all."""
        state, ids = self._held
        vectors = state.vectors
        with files.written_folder(path, kind="search") as folder:
            folder.facts.update(name=self.name, distance=self.distance.name)
            folder.facts.update(dim=self.dim, size=len(self))
            arrays = {"embeddings": vectors.take(np.arange(vectors.size)), "ids": ids}
            if vectors.dead is not None:
                arrays["dead"] = vectors.dead
            files.write_arrays(folder.path / _ROWS_FILE, arrays)
            self.save_state(state, folder, "search")

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
        arrays = files.read_arrays(Path(path) / _ROWS_FILE)
        vectors = Vectors(self.dim).append(arrays["embeddings"])
        if "dead" in arrays:
            vectors = vectors.remove(np.flatnonzero(arrays["dead"]))
        self._held = self.load_state(Path(path) / "search", vectors), arrays["ids"]

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
