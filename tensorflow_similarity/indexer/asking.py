"""An index that is asked: neighbours, items, and what it tells about itself."""

import math
import time
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from tensorflow_similarity import stores
from tensorflow_similarity._core import doors
from tensorflow_similarity._core.id_index import as_asked_ids, kind_of
from tensorflow_similarity.indexer import checks
from tensorflow_similarity.indexer.index_state import IndexState
from tensorflow_similarity.indexer.nearest import Question, nearest
from tensorflow_similarity.stores import StoreSnapshot
from tensorflow_similarity.types import NO_ID, NO_LABEL, Item, Lookup, Lookups, ranked


class AskingMixin(IndexState):
    """Answers from one snapshot, whatever is written meanwhile, for `Indexer`."""

    def single_lookup(
        self,
        prediction: Any,
        k: int = 5,
        where: Mapping[str, Any] | None = None,
        exact: bool | None = None,
        max_distance: float | None = None,
        group_by: str | None = None,
    ) -> list[Lookup]:
        """The neighbours of one embedding, shape (1, dim), nearest first.

        Args: as those of `batch_lookup`.

        Raises:
            RuntimeError: if the index is empty.
            ValueError: for a wrong width, NaN, or k below 1.
        """
        question = self._question(k, where, exact, max_distance, group_by)
        facts, rows, distances = self._found(prediction, question)
        if len(rows) != 1:
            raise ValueError(
                "`prediction` must be one embedding, shape "
                f"(1, {self.embedding_size}). Received: {len(rows)} rows. "
                "`batch_lookup` takes many."
            )
        there = rows[0]
        if not question.is_plain:
            distances, there = distances[:, rows[0] >= 0], there[there >= 0]
        details = facts.at(there)
        return ranked(facts.ids[there], distances[0], facts.labels[there], details)

    def batch_lookup(
        self,
        predictions: Any,
        k: int = 5,
        verbose: int = 1,
        where: Mapping[str, Any] | None = None,
        exact: bool | None = None,
        max_distance: float | None = None,
        group_by: str | None = None,
    ) -> Lookups:
        """The neighbours of each embedding, nearest first.

        Args:
            predictions: embeddings, shape (n, dim), finite.
            k: at least 1; more than there are items gives a short answer.
            where: conditions that neighbours must meet: `{"colour": "red", "price":
                {"<": 20}}`; `stores.rows_where` has all forms. Defaults to None.
            exact: True compares with every item. With `where`, False lets an
                approximate structure answer. Defaults to None: exact with `where`, as
                the search does it without.
            max_distance: neighbours beyond are left out. Defaults to None.
            group_by: "label" or a metadata column: of each group only the nearest.

        Returns:
            `Lookups` of n queries, k (or as many as there are) neighbours each.

        Raises:
            RuntimeError: if the index is empty.
            ValueError: for a wrong width, NaN, k below 1, or an unknown column.
        """
        question = self._question(k, where, exact, max_distance, group_by)
        return self._lookups(*self._found(predictions, question))

    def lookup_ids(
        self,
        ids: Any,
        k: int = 5,
        where: Mapping[str, Any] | None = None,
        exact: bool | None = None,
        max_distance: float | None = None,
        group_by: str | None = None,
    ) -> Lookups:
        """The neighbours of items of the index, themselves left out: "more like this".

        Args: ids of n items; the others as those of `batch_lookup`.

        Raises:
            KeyError: for an id that is not there.
        """
        question = self._question(k, where, exact, max_distance, group_by)
        snapshot = self._snapshot
        rows = rows_there(snapshot.facts, ids)
        queries = snapshot.facts.vectors.take(rows)
        found = nearest(self.search, snapshot, queries, question, own_rows=rows)
        return self._lookups(snapshot.facts, *found)

    def get(self, id: int | str) -> Item:
        """The item with this id.

        Raises:
            KeyError: if it is not there.
        """
        facts = self._snapshot.facts
        rows = rows_there(facts, id)
        if len(rows) != 1:
            raise ValueError(f"`id` must be one id. Received: {id!r}.")
        return next(self._items_at(facts, rows))

    def items(self) -> tuple[np.ndarray, np.ndarray, list[Any]]:
        """Ids, labels and user data of all items, in the order they were added."""
        facts = self._snapshot.facts
        rows = facts.vectors.alive_rows()
        data = facts.items.take(rows.tolist())
        return facts.ids[rows], facts.labels[rows], data

    def __iter__(self) -> Iterator[Item]:
        """All items, in the order they were added, as they are when it begins."""
        facts = self._snapshot.facts
        return self._items_at(facts, facts.vectors.alive_rows())

    def __contains__(self, id: Any) -> bool:
        return bool((self._snapshot.facts.rows_of_ids(as_asked_ids(id)) >= 0).all())

    def recall_check(self, n: int = 200, k: int = 10, seed: int = 0) -> float:
        """Share of the true k neighbours of n of the items that the search finds.

        Args:
            n: items drawn by `seed`; 200 tell a recall of 0.99 to about 0.002.
            k: neighbours.

        Returns:
            recall@k, from 0 to 1; 1.0 where all items are searched exactly.
        """
        self._check_filled()
        if n < 1:
            raise ValueError(f"`n` must be at least 1. Received: n={n!r}.")
        return checks.recall(self.search, self._snapshot, n, doors.as_k(k), seed)

    def find_duplicates(
        self, threshold: float = 1e-6, exact: bool = False
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Pairs of items at most so far apart, the nearest pairs first.

        Args:
            threshold: a distance.
            exact: whether each item is compared with every other; by default the
                search's own way, which may miss some of a large index.

        Returns:
            ids, ids, distances: shape (n_pairs,) each, each pair once.
        """
        self._check_filled()
        snapshot = self._snapshot
        found = checks.duplicates(self.search, snapshot, threshold, exact)
        ids = snapshot.facts.ids
        return ids[found[0]], ids[found[1]], found[2]

    def _question(
        self,
        k: Any,
        where: Mapping[str, Any] | None,
        exact: bool | None,
        max_distance: float | None,
        group_by: str | None,
    ) -> Question:
        """What is asked, checked as far as it can be without the items."""
        is_number = isinstance(max_distance, int | float | np.number | None)
        if not is_number or (max_distance is not None and math.isnan(max_distance)):
            raise ValueError(
                f"`max_distance` must be a number. Received: {max_distance!r}."
            )
        if not isinstance(group_by, str | None):
            raise TypeError(
                "`group_by` must be 'label' or the name of a metadata column. "
                f"Received: {group_by!r}."
            )
        return Question(doors.as_k(k), where, exact, max_distance, group_by)

    def _found(
        self, predictions: Any, question: Question
    ) -> tuple[StoreSnapshot, np.ndarray, np.ndarray]:
        """The facts, and the nearest rows of them with their distances."""
        start = time.perf_counter()
        queries = doors.as_embeddings(predictions, self.embedding_size, "queries")
        self._check_filled()
        snapshot = self._snapshot
        rows, distances = nearest(self.search, snapshot, queries, question)
        if len(queries):
            seconds = (time.perf_counter() - start) / len(queries)
            self._durations.append(seconds)
            self._n_lookups += len(queries)
        return snapshot.facts, rows, distances

    def _lookups(
        self, facts: StoreSnapshot, rows: np.ndarray, distances: np.ndarray
    ) -> Lookups:
        ids, labels = facts.ids[rows], facts.labels[rows]
        found = rows >= 0
        if not found.all():
            ids[~found] = None if ids.dtype == object else NO_ID
            labels[~found] = None if labels.dtype == object else NO_LABEL
        return Lookups(ids, distances, labels, found, records=facts)

    def _check_filled(self) -> None:
        if not self._snapshot.facts.vectors.n_alive:
            raise RuntimeError(
                "The index is empty. Add items with `index(x, y)` before `lookup(x)`."
            )

    @staticmethod
    def _items_at(facts: StoreSnapshot, rows: np.ndarray) -> Iterator[Item]:
        for start in range(0, len(rows), 1024):
            part = rows[start : start + 1024]
            details = facts.at(part)
            labels = stores.plain_labels(facts.labels[part])
            for i, name in enumerate(facts.ids[part].tolist()):
                yield Item(
                    name,
                    details.embeddings[i],
                    labels[i],
                    details.data[i],
                    details.metadata[i],
                )


def asked_ids(facts: StoreSnapshot, ids: Any) -> np.ndarray:
    """Ids that the user asks for, checked to be of the index's kind."""
    asked = as_asked_ids(ids)
    kind = kind_of(facts.ids)
    if len(asked) and kind_of(asked) != kind:
        raise TypeError(
            f"`ids` must be {kind}, as the ids of this index are. Received: "
            f"{kind_of(asked)}."
        )
    return asked


def rows_there(facts: StoreSnapshot, ids: Any) -> np.ndarray:
    """Rows of ids that are there; raises KeyError for the first that is not."""
    asked = asked_ids(facts, ids)
    rows = facts.rows_of_ids(asked)
    if (rows < 0).any():
        missing = asked[rows < 0][:3].tolist()
        raise KeyError(f"The index has no item with the id {missing}.")
    return rows
