"""The contract of stores: the facts about each item, by a key never used twice."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from tensorflow_similarity._core import doors, files
from tensorflow_similarity._core.files import NewFolder
from tensorflow_similarity._core.id_index import as_own_ids, kind_of
from tensorflow_similarity._core.items import as_item
from tensorflow_similarity._core.optional import optional_import
from tensorflow_similarity._core.table import as_metadata
from tensorflow_similarity.stores.changes import (
    Added,
    Change,
    Embedded,
    Loaded,
    Relabelled,
    Removed,
    Reset,
    Vacuumed,
)
from tensorflow_similarity.stores.snapshot import (
    NewItems,
    StoreSnapshot,
    empty_snapshot,
)
from tensorflow_similarity.stores.snapshot_files import read_snapshot, write_snapshot
from tensorflow_similarity.types import NO_LABEL


class Store:
    """Embeddings, labels, metadata and user data, by keys that never come back.

    One writer at a time; `snapshot()` gives readers a view that never changes. What
    the facts are after a change is computed here, by `StoreSnapshot`; a store that
    keeps them elsewhere than in memory writes `_record`.

    Args:
        name: string. Defaults to the class's own name for itself.
        verbose: int; accepted as existing programs pass it, not used.
    """

    default_name = ""
    #: Whether the items stay where they are when the program ends. An index that is
    #: saved then writes where the store is and not what is in it.
    persistent = False

    def __init__(self, name: str | None = None, verbose: int = 0):
        self.name = name or self.default_name
        self.verbose = verbose
        self._snapshot = empty_snapshot(0)

    # What a store writes.

    def _record(self, change: Change, after: StoreSnapshot) -> StoreSnapshot:
        """Keeps a change for good, where the store keeps things; memory does nothing.

        Args:
            after: the facts as they will be.

        Returns:
            The facts to go on with: those, or the same from where they are kept now.

        Raises:
            OSError, RuntimeError: if it cannot; the store is then as it was.
        """
        return after

    # Facts and changes.

    def snapshot(self) -> StoreSnapshot:
        """The facts as they are now, in a view that never changes."""
        return self._snapshot

    def flush(self) -> None:
        """Waits until what was written lasts; here nothing is written."""

    def refresh(self) -> bool:
        """Takes over what other programs wrote, if the store is one they share.

        Returns:
            Whether there was anything.
        """
        return False

    def _commit(self, change: Change) -> StoreSnapshot:
        """Makes a change that passed the door; returns the facts before it."""
        before = self._snapshot
        self._snapshot = self._record(change, change.after(before))
        return before

    def reset(self) -> None:
        """Forgets every item. Keys go on where they were; the width is free again."""
        self._commit(Reset())

    def restore(self, before: StoreSnapshot) -> None:
        """Goes back to facts of before, after an operation of several changes failed.

        Keys that were given meanwhile are not given again.
        """
        now, n_before = self._snapshot, before.vectors.size
        if now.lineage == before.lineage and now.vectors.size >= n_before:
            gone = now.vectors.masked(np.arange(now.vectors.size) < n_before)
            dead = np.zeros(n_before, bool)
            before_dead = dead if before.vectors.dead is None else before.vectors.dead
            now_dead = dead if gone.dead is None else gone.dead[:n_before]
            if np.array_equal(before_dead, now_dead):  # nothing but additions
                added = now.vectors.alive_rows(n_before)
                if len(added):
                    self._commit(Removed(added))
                return
        self._commit(Loaded(replace(before, next_key=now.next_key)))

    def replace_embeddings(self, embeddings: np.ndarray) -> None:
        """New embeddings, checked, for all items that are there, in their order."""
        self._commit(Embedded(embeddings))

    def vacuum(self) -> int:
        """Erases what was removed, from memory and files; keys and ids stay.

        Returns:
            How many rows went.
        """
        n = self._snapshot.vectors.n_dead
        if n:
            self._commit(Vacuumed())
        return n

    def relabel(self, keys: Any, labels: Any) -> None:
        """Other labels for the items with these keys.

        Raises:
            KeyError: if one is not there.
            ValueError, TypeError: for labels that do not fit.
        """
        rows = self._rows_there(doors.as_ids(keys, "keys"))
        checked = self.checked_labels(labels, len(rows), replaced=rows)
        self._commit(Relabelled(rows, checked))

    def add(self, embedding: Any, label: Any = None, data: Any = None) -> int:
        """Adds one item, embedding of shape (dim,); returns its key."""
        labels = None if label is None else [label]
        row = doors.as_embedding(embedding, self.snapshot().vectors.dim or None)
        return int(self.batch_add(row, labels, None if data is None else [data])[0])

    def batch_add(
        self,
        embeddings: Any,
        labels: Any = None,
        data: Any = None,
        ids: Any = None,
        metadata: Any = None,
    ) -> np.ndarray:
        """Adds items.

        Args:
            embeddings: shape (n, dim), finite; the first batch fixes the width.
            labels: n integers of 64 bits or strings, None where there is none.
            data: n items of anything that can be kept (`_core/items.py`), or None.
            ids: the user's own ids, n distinct integers or strings. An item that has
                one of them already is replaced. Defaults to None: without; an index
                has own ids for all its items or for none.
            metadata: plain values to filter by: a dict of columns of n values each, a
                list of n dicts, or a data frame. Defaults to None.

        Returns:
            Their keys, int64, shape (n,).

        Raises:
            ValueError, TypeError: for wrong input; nothing is added then.
        """
        vectors = self.snapshot().vectors
        embeddings = doors.as_embeddings(embeddings, vectors.dim or None)
        n = len(embeddings)
        new = NewItems(
            embeddings,
            self.checked_labels(labels, n),
            checked_data(data, n),
            self._checked_ids(ids, n),
            as_metadata(metadata, n),
        )
        before = self._commit(Added(new))
        return np.arange(before.next_key, before.next_key + n)

    def checked_labels(
        self, labels: Any, n: int, replaced: np.ndarray | None = None
    ) -> np.ndarray:
        """Labels of n items as the store keeps them.

        Args:
            replaced: rows that lose the labels they have.

        Raises:
            TypeError: for strings where the labels so far are integers, or the other
                way round.
        """
        checked = doors.as_labels(labels, n)
        snapshot = self.snapshot()
        leave = np.empty(0, np.int64) if replaced is None else np.unique(replaced)
        stay = snapshot.vectors.n_alive - len(leave)
        present = _label_kind(snapshot.labels) if stay else None
        kinds = {present, _label_kind(checked)} - {None}
        if len(kinds) > 1:  # seldom, so that it may cost to look at each item
            rows = np.setdiff1d(snapshot.vectors.alive_rows(), leave)
            present = _label_kind(snapshot.labels[rows])
            kinds = {present, _label_kind(checked)} - {None}
        if len(kinds) > 1:
            raise TypeError(
                "`labels` must be of one kind in one index. It holds labels that are "
                f"{present}; received labels that are {_label_kind(checked)}."
            )
        return checked

    def _checked_ids(self, ids: Any, n: int) -> np.ndarray | None:
        """Own ids of n items, or None; all items of a store have some or none has."""
        snapshot = self.snapshot()
        present = snapshot.own_ids if snapshot.vectors.n_alive else None
        if ids is None:
            if present is not None and n:
                raise ValueError(
                    f"The items of this index have `ids` that are {present.kind}. "
                    "Give each new item one, too."
                )
            return None
        if not n:
            return None
        checked = as_own_ids(ids, n)
        if present is None and snapshot.vectors.n_alive and n:
            raise ValueError(
                "The index numbers its items itself, since the first came without "
                "`ids`. Go on without, or begin a new index with ids for all."
            )
        if present is not None and n and kind_of(checked) != present.kind:
            raise TypeError(
                "`ids` must be of one type in one index. It holds "
                f"{present.kind}; received {kind_of(checked)}."
            )
        return checked

    def _rows_there(self, keys: np.ndarray) -> np.ndarray:
        """Rows of keys that are there; raises KeyError for the first that is not."""
        rows = self.snapshot().rows_of(keys)
        if (rows < 0).any():
            missing = keys[rows < 0][:3].tolist()
            raise KeyError(f"The store has no item with key {missing}.")
        return rows

    def remove(self, keys: Any) -> int:
        """Removes the items with these keys; returns how many of them were there."""
        rows = self.snapshot().rows_of(np.unique(doors.as_ids(keys, "keys")))
        rows = rows[rows >= 0]
        if len(rows):
            self._commit(Removed(rows))
        return len(rows)

    def get(self, idx: int) -> tuple[np.ndarray, int | str | None, Any]:
        """Embedding, label and data of one key.

        Raises:
            KeyError: if it is not there.
        """
        embeddings, labels, data = self.batch_get([idx])
        return embeddings[0], labels[0], data[0]

    def batch_get(
        self, idxs: Any
    ) -> tuple[np.ndarray, list[int | str | None], list[Any]]:
        """Embeddings (n, dim), labels and data of these keys.

        Raises:
            KeyError: if one is not there.
        """
        snapshot, rows = self.snapshot(), self._rows_there(doors.as_ids(idxs, "idxs"))
        details = snapshot.at(rows)
        labels = plain_labels(snapshot.labels[rows])
        return np.asarray(details.embeddings), labels, list(details.data)

    def size(self) -> int:
        """Number of items."""
        return self.snapshot().vectors.n_alive

    def __len__(self) -> int:
        return self.size()

    def save(self, path: str | Path, compression: bool = True) -> None:
        """Writes the items to the folder `path`, whole or not at all.

        Args:
            compression: whether labels and user data are deflated; embeddings never
                are, since that gains nothing.
        """
        with files.written_folder(path, kind="store") as folder:
            folder.facts.update(size=len(self))
            self.write(folder, "store", compression)

    def load(self, path: str | Path) -> int:
        """Reads what `save` wrote, in place of what is here; returns the size.

        Raises:
            FileNotFoundError: if nothing is there.
            ValueError: if it is damaged or newer.
        """
        files.checked_folder(path, kind="store")
        path = Path(path)
        # Format 1 had its one file beside the manifest.
        self.read(path / "store" if (path / "store").is_dir() else path)
        return len(self)

    def write(self, folder: NewFolder, at: str, compression: bool) -> None:
        """Writes the items under `at` of a new folder."""
        write_snapshot(self.snapshot(), folder, at, compression)

    def read(self, path: Path, mapped: bool = False) -> None:
        """Reads what `write` wrote, in place of what is here."""
        present = self._snapshot.next_key
        read = read_snapshot(path, mapped)
        self._commit(Loaded(replace(read, next_key=max(present, read.next_key))))

    def to_data_frame(self, num_records: int = 0) -> Any:
        """A pandas data frame: embeddings, labels, data, metadata; ids are its index.

        Args:
            num_records: only the first so many. Defaults to 0: all.
        """
        pandas = optional_import("pandas", purpose="Making a data frame")
        snapshot = self.snapshot()
        rows = snapshot.vectors.alive_rows()
        rows = rows[:num_records] if num_records else rows
        columns = {
            "embeddings": list(snapshot.vectors.take(rows)),
            "labels": plain_labels(snapshot.labels[rows]),
            "data": snapshot.items.take(rows.tolist()),
        }
        columns.update(snapshot.metadata.plain(rows))
        # As objects: pandas would make None a NaN, and integers beside it floats.
        frame = pandas.DataFrame(
            {
                name: pandas.Series(values, dtype=object)
                for name, values in columns.items()
            }
        )
        return frame.set_index(snapshot.ids[rows])

    def get_config(self) -> dict[str, Any]:
        """What makes the same store again, without its items."""
        return {"name": self.name, "verbose": self.verbose}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """A store from what `get_config` gave."""
        return cls(**config)


_NO_SEQUENCES = (dict, str, bytes, set, frozenset)


def checked_data(data: Any, n: int) -> "Sequence[Any] | np.ndarray | None":
    """User data of n items: a copied array, a list of plain items, or None.

    Raises:
        ValueError: for another number of items.
        TypeError: for what cannot be kept, or for something that is no sequence.
    """
    if data is None:
        return None
    if hasattr(data, "to_dict") and getattr(data, "ndim", 0) == 2:  # a data frame
        data = data.to_dict("records")
    if isinstance(data, _NO_SEQUENCES) or not hasattr(data, "__len__"):
        raise TypeError(
            f"`data` must be a sequence of {n} items, one for each embedding. "
            f"Received: a {type(data).__name__}."
        )
    shape = getattr(data, "shape", None)
    length = len(data) if shape is None or len(shape) else 0
    if length != n:
        raise ValueError(
            f"`data` must hold one item for each embedding. Received: {length} items "
            f"for {n} embeddings."
        )
    if hasattr(data, "__array__") and not hasattr(data, "iloc"):
        array = doors.as_array(data)
        if array.dtype != object:
            return np.asarray(as_item(array))
        data = array
    return [as_item(item, f"data[{i}]") for i, item in enumerate(data)]


def plain_labels(labels: np.ndarray) -> list[int | str | None]:
    """Labels as Python's own ints and strings, None where there is none."""
    plain = labels.tolist()
    return [None if label == NO_LABEL else label for label in plain]


def _label_kind(labels: np.ndarray) -> str | None:
    """'integers', 'strings', or None where no item has a label."""
    if labels.dtype == object:
        return "strings"
    # The first usually tells; a million comparisons cost half a millisecond.
    some = len(labels) and (labels[0] != NO_LABEL or (labels != NO_LABEL).any())
    return "integers" if some else None
