"""The facts about all items at one moment, and what they are after a change."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from tensorflow_similarity._core.columns import Column, Items
from tensorflow_similarity._core.id_index import IdIndex
from tensorflow_similarity._core.items import as_item
from tensorflow_similarity._core.table import Batch, Table
from tensorflow_similarity._core.vectors import Vectors
from tensorflow_similarity.types import NO_LABEL, Details


@dataclass(frozen=True, eq=False)
class NewItems:
    """Items that passed the door, ready to be added.

    Args:
        embeddings: float32, shape (n, dim).
        labels: int64 with `NO_LABEL`, or objects, shape (n,).
        data: n items of user data, or None.
        ids: the user's own ids, int64 or objects, shape (n,), or None.
        metadata: columns of n values, or None.
    """

    embeddings: np.ndarray
    labels: np.ndarray
    data: "Sequence[Any] | np.ndarray | None" = None
    ids: np.ndarray | None = None
    metadata: Batch | None = None

    def __len__(self) -> int:
        return len(self.embeddings)


def _no_integers() -> Column:
    return Column(np.empty(0, np.int64))


@dataclass(frozen=True, eq=False)
class StoreSnapshot:
    """The facts at one moment; later changes of the store do not show in it.

    Row i of every column is item i; removed items keep their row until `compacted`.

    Args:
        vectors: the embeddings, and which rows were removed.
        key_column: int64, rising, never used twice.
        label_column: int64 with `NO_LABEL`, or objects.
        items: user data.
        own_ids: the user's ids, None if the index numbers its items itself.
        metadata: named columns.
        next_key: the key of the next item.
        lineage: changes whenever rows are numbered anew or embedded anew; what is
            derived from rows holds as long as it does not.
    """

    vectors: Vectors
    key_column: Column = field(default_factory=_no_integers)
    label_column: Column = field(default_factory=_no_integers)
    items: Items = field(default_factory=Items)
    own_ids: IdIndex | None = None
    metadata: Table = field(default_factory=Table)
    next_key: int = 0
    lineage: str = field(default_factory=lambda: secrets.token_hex(8))

    @property
    def keys(self) -> np.ndarray:
        """int64, shape (vectors.size,)."""
        return self.key_column.values

    @property
    def labels(self) -> np.ndarray:
        """int64 with `NO_LABEL`, or objects, shape (vectors.size,)."""
        return self.label_column.values

    @property
    def ids(self) -> np.ndarray:
        """What the user knows the items by: own ids, else keys; (vectors.size,)."""
        return self.keys if self.own_ids is None else self.own_ids.values

    @cached_property
    def label_numbers(self) -> np.ndarray:
        """Labels that are strings as numbers, equal for equal ones; -1 for None."""
        numbers: dict[Any, int] = {None: -1}
        codes = [numbers.setdefault(v, len(numbers) - 1) for v in self.labels.tolist()]
        return np.array(codes, np.int64)

    # What there is.

    def rows_of(self, keys: np.ndarray) -> np.ndarray:
        """Rows of these keys; -1 for a key that is not there, or no longer."""
        if not len(self.keys):
            return np.full(keys.shape, -1)
        rows = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return self._alive(np.where(self.keys[rows] == keys, rows, -1))

    def rows_of_ids(self, ids: np.ndarray) -> np.ndarray:
        """Rows of what the user knows items by; -1 for what is not there."""
        if self.own_ids is not None:
            return self._alive(self.own_ids.rows_of(ids))
        return np.full(len(ids), -1) if ids.dtype == object else self.rows_of(ids)

    def fetch(self, ids: np.ndarray) -> Details:
        """Embeddings, user data and metadata of ids that are there."""
        return self.at(self.rows_of_ids(np.asarray(ids)))

    def at(self, rows: np.ndarray) -> Details:
        """Embeddings, user data and metadata of rows."""
        # Copied: what a user does to a result must not change what is stored.
        data = self.items.take(rows.tolist())
        data = [None if item is None else as_item(item) for item in data]
        metadata: list[Any] = [None] * len(rows)
        if self.metadata.columns:
            metadata = self.metadata.records(rows)
        return Details(self.vectors.take(rows), data, metadata)

    @property
    def nbytes(self) -> int:
        """Bytes of everything but user data."""
        own = 0 if self.own_ids is None else self.own_ids.nbytes
        columns = self.keys.nbytes + self.labels.nbytes + self.metadata.nbytes
        return self.vectors.nbytes + columns + own

    # What there is after a change.

    def with_items(self, new: NewItems) -> "StoreSnapshot":
        """With further items; those whose own ids come again are replaced."""
        n = len(new)
        vectors = self.vectors
        own_ids = None
        metadata = self.metadata.appended(new.metadata, n)
        if new.ids is not None:
            replaced = self.rows_of_ids(new.ids)
            if (replaced >= 0).any():
                vectors = vectors.remove(replaced[replaced >= 0])
            own_ids = _own_ids(self, new.ids)
        elif not n:
            own_ids = self.own_ids
        labels = new.labels
        column = _fitting(self, labels.dtype)
        if column.values.dtype == object and labels.dtype != object:
            labels = np.full(n, None, object)  # integers get here only as "no label"
        if not vectors.size:
            vectors = Vectors(new.embeddings.shape[1])
        return replace(
            self,
            vectors=vectors.append(new.embeddings),
            key_column=self.key_column.append(
                np.arange(self.next_key, self.next_key + n)
            ),
            label_column=column.append(labels),
            items=self.items.append(new.data, n),
            own_ids=own_ids,
            metadata=metadata,
            next_key=self.next_key + n,
        )

    def without(self, rows: np.ndarray) -> "StoreSnapshot":
        """With these rows, alive and distinct, removed."""
        return replace(self, vectors=self.vectors.remove(rows))

    def relabelled(self, rows: np.ndarray, labels: np.ndarray) -> "StoreSnapshot":
        """With other labels for these rows."""
        values = self.labels.copy()
        if labels.dtype == object and values.dtype != object:
            values = np.full(len(values), None, object)
        elif values.dtype == object and labels.dtype != object:
            labels = np.full(len(labels), None, object)
        values[rows] = labels
        return replace(self, label_column=Column(values[:0]).append(values))

    def with_embeddings(self, embeddings: np.ndarray) -> "StoreSnapshot":
        """With new embeddings for all items that are there, in their order."""
        old = self.vectors
        rows = np.zeros((old.size, embeddings.shape[1]), np.float32)
        rows[old.alive_rows()] = embeddings
        vectors = Vectors(embeddings.shape[1]).append(rows)
        if old.dead is not None:
            vectors = vectors.remove(np.flatnonzero(old.dead))
        return replace(self, vectors=vectors, lineage=secrets.token_hex(8))

    def compacted(self) -> "StoreSnapshot":
        """Without the rows that were removed; keys and ids stay, row numbers do not."""
        rows = self.vectors.alive_rows()
        kept = NewItems(
            self.vectors.take(rows),
            self.labels[rows],
            self._items_of(rows),
            None if self.own_ids is None else self.own_ids.values[rows],
            self.metadata.at(rows),
        )
        keys = self.keys[rows]
        new = empty_snapshot(self.vectors.dim).with_items(kept)
        return replace(
            new, key_column=Column(keys[:0]).append(keys), next_key=self.next_key
        )

    def _items_of(self, rows: np.ndarray) -> "list[Any] | np.ndarray | None":
        if self.items.is_empty():
            return None
        everything = self.items.part(0, self.vectors.size)
        if isinstance(everything, np.ndarray):
            return everything[rows]
        return [everything[row] for row in rows.tolist()]

    def emptied(self) -> "StoreSnapshot":
        """Without items; keys go on where they were, the width is free again."""
        return StoreSnapshot(Vectors(0), next_key=self.next_key)

    def _alive(self, rows: np.ndarray) -> np.ndarray:
        dead = self.vectors.dead
        return rows if dead is None else np.where(dead[rows] & (rows >= 0), -1, rows)


def empty_snapshot(dim: int) -> StoreSnapshot:
    """A snapshot of no items of this width."""
    return StoreSnapshot(Vectors(dim))


def _own_ids(before: StoreSnapshot, ids: np.ndarray) -> IdIndex:
    """The ids with these behind; over an index without items they may begin anew."""
    present = before.own_ids
    if not before.vectors.n_alive and (
        present is None or present.values.dtype != ids.dtype
    ):
        size = before.vectors.size
        none = None if ids.dtype == object else NO_LABEL
        present = IdIndex.of(np.full(size, none, ids.dtype))
    return present.appended(ids)  # type: ignore[union-attr]


def _fitting(before: StoreSnapshot, dtype: np.dtype) -> Column:
    """The column of labels, made one of objects or integers if the new ones ask it.

    Which they only may while no item that is there has a label of the other kind.
    """
    present = before.label_column
    to_objects = dtype.kind == "O" and present.values.dtype.kind != "O"
    to_integers = dtype.kind != "O" and not before.vectors.n_alive
    if not to_objects and not to_integers:
        return present
    none = np.full(present.size, None if to_objects else NO_LABEL, dtype)
    return Column(np.empty(0, dtype)).append(none)
