"""Keeps one store and one search in step, and answers lookups."""

import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from tensorflow_similarity import distances, search, stores
from tensorflow_similarity._core import calibration_parts, files
from tensorflow_similarity.distances import Distance
from tensorflow_similarity.indexer import arrow, legacy, summary
from tensorflow_similarity.indexer.changing import ChangingMixin
from tensorflow_similarity.search import Search, SearchState
from tensorflow_similarity.stores import Store, StoreSnapshot
from tensorflow_similarity.types import CalibrationResults

# Vectors beyond this stay in the files that are loaded, unless told otherwise.
_MAPPED_FROM = 512 * 2**20


class Indexer(ChangingMixin):
    """Embeddings with labels and user data, and the search over them.

    Readers take one snapshot and are never disturbed; writers queue. What is added is
    found by the next lookup.

    Args:
        embedding_size: int, width of the embeddings.
        distance: name of a distance or a `Distance`. Defaults to "cosine".
        search: "nmslib", "linear", "faiss", "scann", "auto", or a `Search` of the same
            distance and width. Defaults to "nmslib", which searches exactly while the
            index is small.
        kv_store: "memory", "sqlite", "cached", "redis" or a `Store`, which for the
            others says where it is. Defaults to "memory".
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
        #: Thresholds that the model found for these items: kept and saved, never read.
        self.calibration: CalibrationResults | None = None
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

    def __len__(self) -> int:
        return self.size()

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

    def nbytes(self) -> int:
        """Bytes in memory of embeddings, keys, labels, ids and metadata."""
        return self._snapshot.facts.nbytes

    def to_data_frame(self, num_items: int = 0) -> Any:
        """A pandas data frame of the items: embeddings, labels, data, by id.

        Args:
            num_items: only the first so many. Defaults to 0: all.
        """
        return self.store.to_data_frame(num_items)

    def to_arrow(self) -> Any:
        """The items as a `pyarrow.Table`: `id`, `embedding`, `label`, metadata, `data`.

        Raises:
            ImportError: without the package pyarrow.
        """
        return arrow.to_arrow(self._snapshot.facts)

    def to_parquet(self, path: str | Path) -> None:
        """Writes the items as a Parquet file, whole or not at all.

        Raises:
            ImportError: without the package pyarrow.
        """
        arrow.to_parquet(self._snapshot.facts, path)

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
            now = self._snapshot
            folder.facts.update(self.get_config(), size=self.size())
            folder.facts.update(fingerprint=self.fingerprint)
            vectors, n_built = now.facts.vectors, now.search.n_built
            folder.facts.update(lineage=now.facts.lineage, n_built=n_built)
            if self.store.persistent:
                self.store.flush()
                folder.facts.update(rows=vectors.checksum(n_built))
            else:
                self.store.write(folder, "store", compression)
            self.search.save_state(now.search, folder, "search")
            if self.calibration is not None:
                calibration_parts.write(folder, self.calibration)

    @classmethod
    def load(
        cls, path: str | Path, verbose: int = 1, mapped: bool | None = None
    ) -> Self:
        """Reads what `save` wrote; a persistent store is opened where it is.

        Args:
            mapped: whether the vectors stay in the files, to be read, and checked, as
                they are used; the files must then stay unchanged. Otherwise the files
                are not needed afterwards. Defaults to None: from 512 MB on.

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
            indexer.calibration = legacy.read_calibration(path)
            return indexer
        # Vectors carry checksums of their own, which their reader compares.
        facts = files.checked_folder(path, kind="index", unread=(".f32",))
        _check_there(path, facts)
        indexer = cls.from_config(facts)
        indexer.fingerprint = facts["fingerprint"]
        indexer.calibration = calibration_parts.read(path, facts)
        if not indexer.store.persistent:
            n_bytes = facts["size"] * facts["embedding_size"] * 4
            mapped = n_bytes >= _MAPPED_FROM if mapped is None else mapped
            indexer.store.read(path / "store", mapped)
        now = indexer._facts()
        state = SearchState(now.vectors)
        if _are_the_rows(now, facts):
            state = indexer.search.load_state(path / "search", now.vectors)
        elif now.vectors.n_alive:
            state = indexer.search.built(state)
        indexer._take_snapshot(state)
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


def _are_the_rows(now: StoreSnapshot, facts: dict[str, Any]) -> bool:
    """Whether a saved structure was made of the rows that the store has now."""
    if facts.get("lineage") != now.lineage:
        return False
    # A store of its own may have been put back as it was, and gone on from there.
    n_built, rows = facts.get("n_built", 0), facts.get("rows")
    if n_built > now.vectors.size:
        return False
    return rows is None or rows == now.vectors.checksum(n_built)


def _check_there(path: Path, facts: dict[str, Any]) -> None:
    """Raises if the store that an index names is not where it was."""
    where = facts["kv_store"].get("config", {}).get("path")
    if where is not None and facts["size"] and not Path(where).is_dir():
        raise FileNotFoundError(
            f"The index in {str(path)!r} has {facts['size']} items in the store at "
            f"{where!r}, and nothing is there. Put it back, or open the store where it "
            "is now: `Indexer(..., kv_store=SQLiteStore(path))`."
        )


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
