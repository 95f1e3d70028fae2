"""The contract of stores: the facts about each item, by a key never used twice."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from tensorflow_similarity._core import doors, files
from tensorflow_similarity._core.items import as_item
from tensorflow_similarity._core.optional import optional_import
from tensorflow_similarity._core.vectors import Vectors
from tensorflow_similarity.types import NO_LABEL


@dataclass(frozen=True, eq=False)
class StoreSnapshot:
    """The facts at one moment; later changes of the store do not show in it.

    Args:
        vectors: the embeddings; row i is item i, removed ones included.
        keys: int64, rising, shape (vectors.size,).
        labels: int64 with `NO_LABEL`, or objects, shape (vectors.size,).
        items: user data by row.
    """

    vectors: Vectors
    keys: np.ndarray
    labels: np.ndarray
    items: Any

    def rows_of(self, keys: np.ndarray) -> np.ndarray:
        """Rows of these keys; -1 for a key that is not there, or no longer."""
        if not len(self.keys):
            return np.full(keys.shape, -1)
        rows = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        rows = np.where(self.keys[rows] == keys, rows, -1)
        if self.vectors.dead is not None:
            rows = np.where(self.vectors.dead[rows] & (rows >= 0), -1, rows)
        return rows

    def fetch(self, ids: np.ndarray) -> tuple[np.ndarray, list[Any]]:
        """Embeddings (n, dim) and user data of keys that are there."""
        return self.at(self.rows_of(np.asarray(ids)))

    def at(self, rows: np.ndarray) -> tuple[np.ndarray, list[Any]]:
        """Embeddings (n, dim) and user data of rows."""
        # Copied: what a user does to a result must not change what is stored.
        return self.vectors.take(rows), [
            as_item(self.items[row]) for row in rows.tolist()
        ]


def empty_snapshot(dim: int) -> StoreSnapshot:
    """A snapshot of no items of this width."""
    integers = np.empty(0, np.int64)
    return StoreSnapshot(Vectors(dim), integers, integers, ())


class Store(ABC):
    """Embeddings, labels and user data, by int64 keys that rise and never come back.

    One writer at a time; `snapshot()` gives readers a view that never changes. A
    store writes the abstract methods; the door checks are done here.

    Args:
        name: string. Defaults to the class's own name for itself.
        verbose: int; accepted as existing programs pass it, not used.
    """

    default_name = ""

    def __init__(self, name: str | None = None, verbose: int = 0):
        self.name = name or self.default_name
        self.verbose = verbose

    @abstractmethod
    def _append(
        self,
        embeddings: np.ndarray,
        labels: np.ndarray,
        data: "Sequence[Any] | np.ndarray | None",
    ) -> np.ndarray:
        """Adds checked items, returns their keys."""

    @abstractmethod
    def _remove(self, keys: np.ndarray) -> None:
        """Removes these keys, all of which are there."""

    @abstractmethod
    def replace_embeddings(self, embeddings: np.ndarray) -> None:
        """New embeddings, checked, for all items that are there, in their order."""

    @abstractmethod
    def snapshot(self) -> StoreSnapshot:
        """The facts as they are now, in a view that never changes."""

    @abstractmethod
    def reset(self) -> None:
        """Forgets every item. Keys go on where they were."""

    @abstractmethod
    def _write(self, path: Path, compression: bool) -> None:
        """Writes the items that are there into the empty folder `path`."""

    @abstractmethod
    def _read(self, path: Path) -> None:
        """Reads what `_write` wrote, in place of what is here."""

    def add(self, embedding: Any, label: Any = None, data: Any = None) -> int:
        """Adds one item, embedding of shape (dim,); returns its key."""
        labels = None if label is None else [label]
        row = doors.as_embedding(embedding, self.snapshot().vectors.dim or None)
        return int(self.batch_add(row, labels, None if data is None else [data])[0])

    def batch_add(
        self, embeddings: Any, labels: Any = None, data: Any = None
    ) -> np.ndarray:
        """Adds items.

        Args:
            embeddings: shape (n, dim), finite; the first batch fixes the width.
            labels: n integers of 64 bits or strings, None where there is none.
            data: n items of anything that can be kept (`_core/items.py`), or None.

        Returns:
            Their keys, int64, shape (n,).

        Raises:
            ValueError, TypeError: for wrong input; nothing is added then.
        """
        vectors = self.snapshot().vectors
        embeddings = doors.as_embeddings(embeddings, vectors.dim or None)
        labels = self.checked_labels(labels, len(embeddings))
        return self._append(embeddings, labels, checked_data(data, len(embeddings)))

    def checked_labels(self, labels: Any, n: int) -> np.ndarray:
        """Labels of n items as the store keeps them.

        Raises:
            TypeError: for strings where the labels so far are integers, or the other
                way round.
        """
        checked = doors.as_labels(labels, n)
        snapshot = self.snapshot()
        present = _label_kind(snapshot.labels) if snapshot.vectors.n_alive else None
        kinds = {present, _label_kind(checked)} - {None}
        if len(kinds) > 1:
            raise TypeError(
                "`labels` must be of one kind in one index. It holds labels that are "
                f"{present}; received labels that are {_label_kind(checked)}."
            )
        return checked

    def remove(self, keys: Any) -> int:
        """Removes the items with these keys; returns how many of them were there."""
        keys = np.unique(doors.as_ids(keys, "keys"))
        keys = keys[self.snapshot().rows_of(keys) >= 0]
        if len(keys):
            self._remove(keys)
        return len(keys)

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
        snapshot, keys = self.snapshot(), doors.as_ids(idxs, "idxs")
        rows = snapshot.rows_of(keys)
        if (rows < 0).any():
            missing = keys[rows < 0][:3].tolist()
            raise KeyError(f"The store has no item with key {missing}.")
        labels = plain_labels(snapshot.labels[rows])
        embeddings, data = snapshot.fetch(keys)
        return embeddings, labels, data

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
            self._write(folder.path, compression)

    def load(self, path: str | Path) -> int:
        """Reads what `save` wrote, in place of what is here; returns the size.

        Raises:
            FileNotFoundError: if nothing is there.
            ValueError: if it is damaged or newer.
        """
        files.checked_folder(path, kind="store")
        self._read(Path(path))
        return len(self)

    def to_data_frame(self, num_records: int = 0) -> Any:
        """A pandas data frame: embeddings, labels, data; the keys are its index.

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
            "data": [snapshot.items[row] for row in rows.tolist()],
        }
        # As objects: pandas would make None a NaN, and integers beside it floats.
        frame = pandas.DataFrame(
            {
                name: pandas.Series(values, dtype=object)
                for name, values in columns.items()
            }
        )
        return frame.set_index(snapshot.keys[rows])

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
    return "integers" if (labels != NO_LABEL).any() else None
