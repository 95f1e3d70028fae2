"""What can happen to a store: each change says what the facts are after it."""

from dataclasses import dataclass

import numpy as np

from tensorflow_similarity.stores.snapshot import NewItems, StoreSnapshot


@dataclass(frozen=True, eq=False)
class Added:
    """Further items; those whose own ids come again are replaced."""

    items: NewItems

    def after(self, before: StoreSnapshot) -> StoreSnapshot:
        return before.with_items(self.items)


@dataclass(frozen=True, eq=False)
class Removed:
    """Rows that go: alive, distinct, ascending."""

    rows: np.ndarray

    def after(self, before: StoreSnapshot) -> StoreSnapshot:
        return before.without(self.rows)


@dataclass(frozen=True, eq=False)
class Relabelled:
    """Other labels for some rows."""

    rows: np.ndarray
    labels: np.ndarray

    def after(self, before: StoreSnapshot) -> StoreSnapshot:
        return before.relabelled(self.rows, self.labels)


@dataclass(frozen=True, eq=False)
class Embedded:
    """New embeddings for all items that are there, in their order."""

    embeddings: np.ndarray

    def after(self, before: StoreSnapshot) -> StoreSnapshot:
        return before.with_embeddings(self.embeddings)


@dataclass(frozen=True, eq=False)
class Vacuumed:
    """Removed rows leave for good; the others are numbered anew."""

    def after(self, before: StoreSnapshot) -> StoreSnapshot:
        return before.compacted()


@dataclass(frozen=True, eq=False)
class Reset:
    """Every item goes."""

    def after(self, before: StoreSnapshot) -> StoreSnapshot:
        return before.emptied()


@dataclass(frozen=True, eq=False)
class Loaded:
    """Everything is replaced by what was read."""

    snapshot: StoreSnapshot

    def after(self, before: StoreSnapshot) -> StoreSnapshot:
        return self.snapshot


Change = Added | Removed | Relabelled | Embedded | Vacuumed | Reset | Loaded
