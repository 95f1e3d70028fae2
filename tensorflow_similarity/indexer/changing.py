"""An index that changes: adding, removing, relabelling, building."""

import contextlib
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tensorflow_similarity import stores
from tensorflow_similarity._core import doors
from tensorflow_similarity.indexer import arrow
from tensorflow_similarity.indexer.asking import AskingMixin, asked_ids, rows_there
from tensorflow_similarity.search import SearchState

if TYPE_CHECKING:
    from tensorflow_similarity.indexer.indexer import Indexer

logger = logging.getLogger(__name__)

# Items taken over at a time from another index.
_LOT = 65_536


class ChangingMixin(AskingMixin):
    """Writes to the store and lets the search follow, for `Indexer`."""

    def add(
        self,
        prediction: Any,
        label: Any = None,
        data: Any = None,
        build: bool = True,
        verbose: int = 1,
        id: Any = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> int | str:
        """Adds one item, or replaces the one with this id.

        Args:
            prediction: its embedding, shape (1, dim).
            label: integer of 64 bits or string.
            data: anything that can be kept.
            id: your own id, integer or string.
            metadata: dict of plain values to filter by.

        Returns:
            Its id.
        """
        found = self.batch_add(
            prediction,
            None if label is None else [label],
            None if data is None else [data],
            build,
            verbose,
            None if id is None else [id],
            None if metadata is None else [metadata],
        )
        added: int | str = found.tolist()[0]
        return added

    def batch_add(
        self,
        predictions: Any,
        labels: Any = None,
        data: Any = None,
        build: bool = True,
        verbose: int = 1,
        ids: Any = None,
        metadata: Any = None,
    ) -> np.ndarray:
        """Adds items, or replaces those with these ids; they are found from then on.

        Args:
            predictions: embeddings, shape (n, dim), finite.
            labels: n integers of 64 bits or strings, one kind in one index. Defaults
                to None: without labels.
            data: n items of anything that can be kept. Defaults to None.
            build: whether a structure may be built now; with False the items are
                searched exactly until a later call builds it.
            ids: your own ids, n distinct integers or strings; an item that is there
                with one of them is replaced. Defaults to None: the index numbers its
                items itself. All items of an index have own ids or none has.
            metadata: plain values to filter by: a dict of columns of n values, a list
                of n dicts, or a data frame. A column keeps its type.

        Returns:
            Their ids, shape (n,): yours, or int64 numbers that are never used twice.

        Raises:
            ValueError, TypeError: for wrong input; nothing is added then.
        """
        embeddings = doors.as_embeddings(predictions, self.embedding_size)
        with self._write_lock:
            self.store.batch_add(embeddings, labels, data, ids, metadata)
            state = self._follow()
            if build:
                self._build_if_it_can(state)
            ids_now = self._snapshot.facts.ids
            added: np.ndarray = ids_now[len(ids_now) - len(embeddings) :].copy()
        return added

    def remove(self, ids: Any) -> int:
        """Removes items by the ids that adding and lookups gave.

        They are gone from the next lookup on. Unknown ids are left out.

        Returns:
            How many were there.
        """
        with self._write_lock:
            facts = self._snapshot.facts
            rows = facts.rows_of_ids(asked_ids(facts, ids))
            n = self.store.remove(facts.keys[rows[rows >= 0]])
            self._follow()
        return n

    def relabel(self, ids: Any, labels: Any) -> None:
        """Gives items other labels; nothing else about them changes.

        Args:
            ids: of items that are there.
            labels: one for each, of the kind that the index has.

        Raises:
            KeyError: for an id that is not there.
            ValueError, TypeError: for labels that do not fit.
        """
        with self._write_lock:
            rows = rows_there(self._snapshot.facts, ids)
            self.store.relabel(self._snapshot.facts.keys[rows], labels)
            self._follow()

    def vacuum(self) -> int:
        """Erases removed items for good, from memory, structure and later files.

        Removed items are never found, but until then their vectors still take place.
        The structure is built anew if there was one. Ids stay.

        Returns:
            How many were erased.
        """
        with self._write_lock:
            was_built = self.is_built()
            n = self.store.vacuum()
            if n:
                state = SearchState(self._facts().vectors)
                self._take_snapshot(state)
                if state.vectors.n_alive:
                    self._build_if_it_can(state, force=was_built)
        return n

    def merge(self, other: "Indexer") -> np.ndarray:
        """Adds all items of another index; those with equal own ids are replaced.

        Args:
            other: an index of the same distance and width; it stays as it is.

        Returns:
            The ids of the items added.

        Raises:
            ValueError: for another distance or width, or if one has ids of your own
                and the other has not.
            TypeError: for labels, ids or metadata of another kind. Nothing is added
                then.
        """
        alike = other.distance == self.distance
        if not alike or other.embedding_size != self.embedding_size:
            raise ValueError(
                "Only an index of the same distance and width can be merged: "
                f"{self.distance.name!r} and {self.embedding_size}. Received: "
                f"{other.distance.name!r} and {other.embedding_size}."
            )
        facts = other._snapshot.facts
        alive = facts.vectors.alive_rows()
        added = []
        with self._all_or_nothing():
            for start in range(0, len(alive), _LOT):
                rows = alive[start : start + _LOT]
                details = facts.at(rows)
                added.append(
                    self.batch_add(
                        details.embeddings,
                        stores.plain_labels(facts.labels[rows]),
                        details.data,
                        build=start + _LOT >= len(alive),
                        ids=None if facts.own_ids is None else facts.ids[rows],
                        metadata=facts.metadata.plain(rows) or None,
                    )
                )
        return np.concatenate(added) if added else facts.ids[:0]

    def add_arrow(self, source: Any, build: bool = True) -> int:
        """Adds what `to_arrow` gave, or a table of another program.

        Args:
            source: a `pyarrow.Table`, record batches, or the path of a Parquet file,
                read in batches. It has a column `embedding`, and may have `id`,
                `label`, `data`; any other column is metadata.

        Returns:
            How many items were added or replaced.

        Raises:
            ImportError: without the package pyarrow.
            ValueError, TypeError: for a table that does not fit; nothing is added then.
        """
        is_path = isinstance(source, str | Path)
        batches = arrow.from_parquet(source) if is_path else arrow.from_arrow(source)
        n = 0
        with self._all_or_nothing():
            for batch in batches:
                names = {"predictions": batch.pop("embeddings"), **batch}
                n += len(self.batch_add(build=False, **names))
            if build:
                self._build_if_it_can(self._snapshot.search)
        return n

    def build(self, force: bool = False) -> None:
        """Gets what was added last into the search's structures, if it wants some.

        Args:
            force: whether all items get into one new structure, at any size; lookups
                are fastest then.
        """
        with self._write_lock:
            state = self._snapshot.search
            self._take_snapshot(self.search.built(state, force, tail=True))

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
            if self.calibration is not None:
                self.calibration = None
                logger.warning(
                    "The items were embedded anew, so the thresholds of the "
                    "calibration mean nothing any more. Call `calibrate` again."
                )
            state = SearchState(self._facts().vectors)
            self._take_snapshot(state)
            self._build_if_it_can(state)

    def reset(self) -> None:
        """Removes all items. Lookups made before keep theirs."""
        with self._write_lock:
            self.store.reset()
            self._take_snapshot(SearchState(self._facts().vectors))
            self.fingerprint = None
            self.calibration = None
            self._durations.clear()
            self._n_lookups = 0

    def _build_if_it_can(self, state: SearchState, force: bool = False) -> None:
        """Builds structures; without them all is found, too, if more slowly."""
        try:
            self._take_snapshot(self.search.built(state, force))
        except (OSError, MemoryError, RuntimeError) as error:
            logger.warning(
                "The items are in the index, but no structure could be built (%s). "
                "They are compared one by one until `build()` succeeds.",
                error,
            )

    @contextlib.contextmanager
    def _all_or_nothing(self) -> Iterator[None]:
        """Holds other writers off; if it fails, the index is as it was before."""
        with self._write_lock:
            before = self._snapshot
            try:
                yield
            except BaseException:
                if self._snapshot is not before:
                    self.store.restore(before.facts)
                    self._snapshot = before
                    self._follow()
                raise

    def _follow(self) -> SearchState:
        """Takes over what the store now holds; the state of the search afterwards."""
        before, facts = self._snapshot, self._facts()
        if facts.lineage == before.facts.lineage:
            state = self.search.follow(before.search, facts.vectors)
        else:  # rows are numbered anew, by another program that writes the store
            state = SearchState(facts.vectors)
        self._take_snapshot(state)
        return state

    def refresh(self) -> None:
        """Takes over what other programs wrote into a store that they share.

        A change of one's own does so, too. For a store in this program's memory there
        is nothing to do.
        """
        with self._write_lock:
            self.store.refresh()
            self._build_if_it_can(self._follow())
