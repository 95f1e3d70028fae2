"""What the halves of an index share."""

import threading
from collections import deque

from tensorflow_similarity import stores
from tensorflow_similarity.distances import Distance
from tensorflow_similarity.indexer.nearest import IndexSnapshot
from tensorflow_similarity.search import Search, SearchState
from tensorflow_similarity.stores import Store, StoreSnapshot
from tensorflow_similarity.types import CalibrationResults


class IndexState:
    """One store, one search, and the snapshot of both that readers take."""

    embedding_size: int
    distance: Distance
    search: Search
    store: Store
    fingerprint: str | None
    calibration: CalibrationResults | None
    _snapshot: IndexSnapshot
    _write_lock: threading.RLock
    _durations: deque[float]
    _n_lookups: int

    def size(self) -> int:
        """Number of items."""
        return self._snapshot.facts.vectors.n_alive

    def extent(self) -> list[int]:
        """Number of items and key of the next one: other items make another extent."""
        facts = self._snapshot.facts
        return [facts.vectors.n_alive, int(facts.next_key)]

    def is_built(self) -> bool:
        """Whether a structure answers; without one, all items are searched exactly."""
        return bool(self._snapshot.search.segments)

    def _facts(self) -> StoreSnapshot:
        facts = self.store.snapshot()
        if not facts.vectors.dim:
            facts = stores.empty_snapshot(self.embedding_size)
        return facts

    def _take_snapshot(self, state: SearchState) -> None:
        self._snapshot = IndexSnapshot(self._facts(), state)
