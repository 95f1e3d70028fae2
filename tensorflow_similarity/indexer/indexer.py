"""Keeps one store and one search in step, and answers lookups."""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from tensorflow_similarity import distances, search, stores
from tensorflow_similarity._core import doors, files
from tensorflow_similarity.distances import Distance
from tensorflow_similarity.indexer import legacy, summary
from tensorflow_similarity.search import Search, SearchState
from tensorflow_similarity.stores import Store, StoreSnapshot
from tensorflow_similarity.types import Lookup, Lookups, ranked


@dataclass(frozen=True, eq=False)
class _Snapshot:
    """Facts and structure that belong together, swapped as one."""

    facts: StoreSnapshot
    search: SearchState


class Indexer:
    """Embeddings with labels and user data, and the search over them.

    Readers take one snapshot and are never disturbed; writers queue. What is added is
    found by the next lookup.

    Args:
        embedding_size: int, width of the embeddings.
        distance: name of a distance or a `Distance`. Defaults to "cosine".
        search: "nmslib", "linear", or a `Search` of the same distance and width.
            Defaults to "nmslib", which searches exactly while the index is small.
        kv_store: "memory" or a `Store`. Defaults to "memory".
        evaluator: "memory"; accepted as existing programs pass it.
        embedding_output: kept for the model: which of its outputs is indexed.
        stat_buffer_size: over how many lookups the timings of `stats` go.

    Raises:
        ValueError: for unknown names, or a search of another distance or width.
    """

    def __init__(
        self,
        embedding_size: int,
        distance: str | Distance = "cosine",
        search: str | Search = "nmslib",
        kv_store: str | Store = "memory",
        evaluator: str = "memory",
        embedding_output: int | str | None = None,
        stat_buffer_size: int = 1000,
    ):
        if evaluator != "memory":
            raise ValueError(
                f"`evaluator` must be 'memory'. Received: evaluator={evaluator!r}."
            )
        self.distance = distances.get(distance)
        self.embedding_size = int(embedding_size)
        self.search = _search_for(search, self.distance, self.embedding_size)
        self.store = _store_for(kv_store, self.embedding_size)
        self.evaluator = evaluator
        self.embedding_output = embedding_output
        self.stat_buffer_size = stat_buffer_size
        #: What made the embeddings: an opaque text that the model sets and compares.
        self.fingerprint: str | None = None
        self._durations: deque[float] = deque(maxlen=stat_buffer_size)
        self._n_lookups = 0
        self._write_lock = threading.RLock()
        self._take_snapshot(SearchState(self._facts().vectors))

    @property
    def search_type(self) -> str:
        """Name of the search."""
        return self.search.name

    @property
    def kv_store_type(self) -> str:
        """Name of the store."""
        return self.store.name

    def add(
        self,
        prediction: Any,
        label: Any = None,
        data: Any = None,
        build: bool = True,
        verbose: int = 1,
    ) -> int:
        """Adds one item.

        Args:
            prediction: its embedding, shape (1, dim).
            label: integer of 64 bits or string.
            data: anything that can be kept.

        Returns:
            Its id.
        """
        labels = None if label is None else [label]
        items = None if data is None else [data]
        return int(self.batch_add(prediction, labels, items, build, verbose)[0])

    def batch_add(
        self,
        predictions: Any,
        labels: Any = None,
        data: Any = None,
        build: bool = True,
        verbose: int = 1,
    ) -> np.ndarray:
        """Adds items; they are found from then on.

        Args:
            predictions: embeddings, shape (n, dim), finite.
            labels: n integers of 64 bits or strings, one kind in one index. Defaults
                to None: without labels.
            data: n items of anything that can be kept. Defaults to None.
            build: whether a structure may be built now; with False the items are
                searched exactly until a later call builds it.

        Returns:
            Their ids, int64, shape (n,), never used twice.

        Raises:
            ValueError, TypeError: for wrong input; nothing is added then.
        """
        embeddings = doors.as_embeddings(predictions, self.embedding_size)
        with self._write_lock:
            keys = self.store.batch_add(embeddings, labels, data)
            state = self.search.follow(self._snapshot.search, self._facts().vectors)
            self._take_snapshot(state)
            if build:
                self._take_snapshot(self.search.built(state))
        return keys

    def remove(self, ids: Any) -> int:
        """Removes items by the ids that adding and lookups gave.

        They are gone from the next lookup on. Unknown ids are left out.

        Returns:
            How many were there.
        """
        ids = doors.as_ids(ids)
        with self._write_lock:
            n = self.store.remove(ids)
            state = self.search.follow(self._snapshot.search, self._facts().vectors)
            self._take_snapshot(state)
        return n

    def build(self, force: bool = False) -> None:
        """Builds the search's structure if it wants one; in any case with `force`."""
        with self._write_lock:
            self._take_snapshot(self.search.built(self._snapshot.search, force))

    def replace_embeddings(self, embeddings: Any) -> None:
        """New embeddings for all items, in the order of `items`; ids stay.

        Raises:
            ValueError: for another number of rows, wrong widths, or NaN.
        """
        rows = doors.as_embeddings(embeddings, self.embedding_size)
        with self._write_lock:
            if len(rows) != self.size():
                raise ValueError(
                    f"`embeddings` must have one row for each of the {self.size()} "
                    f"items. Received: {len(rows)} rows."
                )
            self.store.replace_embeddings(rows)
            state = SearchState(self._facts().vectors)
            self._take_snapshot(self.search.built(state))

    def items(self) -> tuple[np.ndarray, np.ndarray, list[Any]]:
        """Ids, labels and user data of all items, in the order they were added."""
        facts = self._snapshot.facts
        rows = facts.vectors.alive_rows()
        data = [facts.items[row] for row in rows.tolist()]
        return facts.keys[rows], facts.labels[rows], data

    def single_lookup(self, prediction: Any, k: int = 5) -> list[Lookup]:
        """The neighbours of one embedding, shape (1, dim), nearest first.

        Args:
            k: at least 1; more than there are items gives a short answer.

        Raises:
            RuntimeError: if the index is empty.
            ValueError: for a wrong width, NaN, or k below 1.
        """
        facts, rows, distances = self._found(prediction, k)
        if len(rows) != 1:
            raise ValueError(
                "`prediction` must be one embedding, shape "
                f"(1, {self.embedding_size}). Received: {len(rows)} rows. "
                "`batch_lookup` takes many."
            )
        embeddings, data = facts.at(rows[0])
        return ranked(distances[0], facts.labels[rows[0]], embeddings, data)

    def batch_lookup(self, predictions: Any, k: int = 5, verbose: int = 1) -> Lookups:
        """The neighbours of each embedding, nearest first.

        Args:
            predictions: embeddings, shape (n, dim), finite.
            k: at least 1; more than there are items gives a short answer.

        Returns:
            `Lookups` of n queries, k (or as many as there are) neighbours each.

        Raises:
            RuntimeError: if the index is empty.
            ValueError: for a wrong width, NaN, or k below 1.
        """
        facts, rows, distances = self._found(predictions, k)
        ids, labels = facts.keys[rows], facts.labels[rows]
        return Lookups(ids, distances, labels, records=facts)

    def size(self) -> int:
        """Number of items."""
        return self._snapshot.facts.vectors.n_alive

    def __len__(self) -> int:
        return self.size()

    def reset(self) -> None:
        """Removes all items. Lookups made before keep theirs."""
        with self._write_lock:
            self.store.reset()
            self._take_snapshot(SearchState(self._facts().vectors))
            self.fingerprint = None
            self._durations.clear()
            self._n_lookups = 0

    def stats(self) -> dict[str, Any]:
        """Size, number of lookups, and seconds a query over the last batches.

        Returns:
            `size`, `num_lookups`, `stat_buffer_size`, and `query_performance` with
            `min`, `max`, `avg`, `median`, `stddev`, all 0 before the first lookup.
        """
        return summary.stats(
            self.size(), self._n_lookups, self.stat_buffer_size, self._durations
        )

    def print_stats(self, print_fn: Callable[[str], Any] = print) -> None:
        """Prints what the index is, how it searches, and how fast it answered."""
        for line in summary.lines(self):
            print_fn(line)

    def is_built(self) -> bool:
        """Whether a structure answers; without one, all items are searched exactly."""
        return self._snapshot.search.structure is not None

    def nbytes(self) -> int:
        """Bytes of the embeddings in memory."""
        return self._snapshot.facts.vectors.nbytes

    def to_data_frame(self, num_items: int = 0) -> Any:
        """A pandas data frame of the items: embeddings, labels, data, by id.

        Args:
            num_items: only the first so many. Defaults to 0: all.
        """
        return self.store.to_data_frame(num_items)

    def save(
        self, path: str | Path, compression: bool = True, overwrite: bool = True
    ) -> None:
        """Writes the index to the folder `path`, whole or not at all.

        Args:
            compression: whether labels and user data are deflated.
            overwrite: whether an index there may be replaced.

        Raises:
            FileExistsError: if something else stands there.
        """
        with (
            self._write_lock,
            files.written_folder(path, kind="index", overwrite=overwrite) as folder,
        ):
            folder.facts.update(self.get_config(), size=self.size())
            folder.facts.update(fingerprint=self.fingerprint)
            self.store.write(folder, "store", compression)
            self.search.save_state(self._snapshot.search, folder.path / "search")

    @classmethod
    def load(cls, path: str | Path, verbose: int = 1) -> Self:
        """Reads what `save` wrote; the files are not needed afterwards.

        Folders of TF Similarity 0.17 and 0.18 are read, too: embeddings, labels, and
        user data that are no pickled objects. What is left out is logged.

        Raises:
            FileNotFoundError: if no index is there.
            ValueError: if it is damaged, was written by a newer version, or holds
                pickled objects.
        """
        path = Path(path)
        if legacy.is_legacy(path):
            indexer = cls(**legacy.read_settings(path))
            indexer.batch_add(*legacy.read_items(path, indexer.embedding_size))
            return indexer
        facts = files.checked_folder(path, kind="index")
        indexer = cls.from_config(facts)
        indexer.fingerprint = facts["fingerprint"]
        indexer.store.read(path / "store")
        vectors = indexer._facts().vectors
        indexer._take_snapshot(indexer.search.load_state(path / "search", vectors))
        return indexer

    def get_config(self) -> dict[str, Any]:
        """What makes the same index again, without its items; plain types."""
        return {
            "embedding_size": self.embedding_size,
            "distance": distances.serialize(self.distance),
            "search": search.serialize(self.search),
            "kv_store": stores.serialize(self.store),
            "evaluator": self.evaluator,
            "embedding_output": self.embedding_output,
            "stat_buffer_size": self.stat_buffer_size,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """An empty index from what `get_config` gave; other keys are left out."""
        return cls(
            config["embedding_size"],
            distance=distances.get(config["distance"]),
            search=search.get(config["search"]),
            kv_store=stores.get(config["kv_store"]),
            evaluator=config["evaluator"],
            embedding_output=config["embedding_output"],
            stat_buffer_size=config["stat_buffer_size"],
        )

    def _found(
        self, predictions: Any, k: int
    ) -> tuple[StoreSnapshot, np.ndarray, np.ndarray]:
        """The facts, and the nearest rows of them with their distances."""
        start = time.perf_counter()
        queries = doors.as_embeddings(predictions, self.embedding_size, "queries")
        k = doors.as_k(k)
        snapshot = self._snapshot
        if not snapshot.facts.vectors.n_alive:
            raise RuntimeError(
                "The index is empty. Add items with `index(x, y)` before `lookup(x)`."
            )
        rows, distances = self.search.find(snapshot.search, queries, k)
        if len(queries):
            seconds = (time.perf_counter() - start) / len(queries)
            self._durations.append(seconds)
            self._n_lookups += len(queries)
        return snapshot.facts, rows, distances

    def _facts(self) -> StoreSnapshot:
        facts = self.store.snapshot()
        if not facts.vectors.dim:
            facts = stores.empty_snapshot(self.embedding_size)
        return facts

    def _take_snapshot(self, state: SearchState) -> None:
        self._snapshot = _Snapshot(self._facts(), state)


def _store_for(identifier: str | Store, dim: int) -> Store:
    """The store, checked to hold nothing of another width."""
    store = stores.get(identifier)
    held = store.snapshot().vectors.dim
    if held not in (0, dim):
        raise ValueError(
            f"The embeddings have width {dim} and the store holds some of width "
            f"{held}. Give the index a store of its own."
        )
    return store


def _search_for(identifier: str | Search, distance: Distance, dim: int) -> Search:
    """The search, checked to be one for this distance and width."""
    found = search.get(identifier, distance, dim)
    if found.distance != distance:
        raise ValueError(
            f"The index measures by {distance.name!r} and its search by "
            f"{found.distance.name!r}. Give both the same distance."
        )
    if found.dim != dim:
        raise ValueError(
            f"The embeddings have width {dim} and the search was made for width "
            f"{found.dim}. Give it `dim={dim}`."
        )
    return found
