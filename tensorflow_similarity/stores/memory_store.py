"""Everything in memory, in columns."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tensorflow_similarity._core import files, items
from tensorflow_similarity._core.columns import Column, Items
from tensorflow_similarity._core.vectors import Vectors
from tensorflow_similarity.stores.store import Store, StoreSnapshot
from tensorflow_similarity.types import NO_LABEL

_FILE = "store.npz"


@dataclass(frozen=True, eq=False)
class _State:
    vectors: Vectors
    keys: Column
    labels: Column
    items: Items


@keras.saving.register_keras_serializable(package="tensorflow_similarity")
class MemoryStore(Store):
    """Keeps embeddings in blocks of float32, labels and keys in flat columns.

    User data given as an array stays one; other data are kept item by item. What is
    given is copied. Removed items are masked.

    Example:
        >>> store = MemoryStore()
        >>> key = store.add([0.0, 1.0], label="cat", data={"page": 3})
        >>> embedding, label, data = store.get(key)
        >>> label, data
        ('cat', {'page': 3})
    """

    default_name = "memory"

    def __init__(self, name: str | None = None, verbose: int = 0):
        super().__init__(name, verbose)
        self._next_key = 0
        self.reset()

    def reset(self) -> None:
        """Forgets every item. Keys go on where they were; the width is free again."""
        integers = np.empty(0, np.int64)
        self._state = _State(Vectors(0), Column(integers), Column(integers), Items())

    def _append(
        self,
        embeddings: np.ndarray,
        labels: np.ndarray,
        data: Sequence[Any] | np.ndarray | None,
    ) -> np.ndarray:
        state, n = self._state, len(embeddings)
        keys = np.arange(self._next_key, self._next_key + n)
        present = _fitting(state, labels.dtype)
        if present.values.dtype == object:
            labels = _as_objects(labels)
        vectors = state.vectors if state.vectors.size else Vectors(embeddings.shape[1])
        self._state = _State(
            vectors.append(embeddings),
            state.keys.append(keys),
            present.append(labels),
            state.items.append(data, n),
        )
        self._next_key += n
        return keys

    def _remove(self, keys: np.ndarray) -> None:
        state = self._state
        vectors = state.vectors.remove(self.snapshot().rows_of(keys))
        self._state = _State(vectors, state.keys, state.labels, state.items)

    def replace_embeddings(self, embeddings: np.ndarray) -> None:
        """New embeddings, checked, for all items that are there, in their order."""
        state, old = self._state, self._state.vectors
        rows = np.zeros((old.size, embeddings.shape[1]), np.float32)
        rows[old.alive_rows()] = embeddings
        vectors = Vectors(embeddings.shape[1]).append(rows)
        if old.dead is not None:
            vectors = vectors.remove(np.flatnonzero(old.dead))
        self._state = _State(vectors, state.keys, state.labels, state.items)

    def snapshot(self) -> StoreSnapshot:
        state = self._state
        return StoreSnapshot(
            state.vectors, state.keys.values, state.labels.values, state.items
        )

    def _write(self, path: Path, compression: bool) -> None:
        snapshot = self.snapshot()
        rows = np.arange(snapshot.vectors.size)
        arrays = {
            "embeddings": snapshot.vectors.take(rows),
            "keys": snapshot.keys[rows],
            "next_key": np.array(self._next_key),
            **_label_arrays(snapshot.labels[rows]),
            **_data_arrays(self._state.items, rows),
        }
        if snapshot.vectors.dead is not None:
            arrays["dead"] = snapshot.vectors.dead
        small = set(arrays) - {"embeddings"} if compression else set()
        files.write_arrays(path / _FILE, arrays, compressed=small)

    def _read(self, path: Path) -> None:
        arrays = files.read_arrays(path / _FILE)
        embeddings, keys = arrays["embeddings"], arrays["keys"]
        labels = _labels_from(arrays)
        data = _data_from(arrays)
        vectors = Vectors(embeddings.shape[1]).append(embeddings)
        if "dead" in arrays:
            vectors = vectors.remove(np.flatnonzero(arrays["dead"]))
        self._state = _State(
            vectors,
            Column(np.empty(0, np.int64)).append(keys),
            Column(np.empty(0, labels.dtype)).append(labels),
            Items().append(data, len(keys)),
        )
        self._next_key = max(self._next_key, int(arrays["next_key"]))


def _fitting(state: _State, dtype: np.dtype) -> Column:
    """The column of labels, made one of objects or integers if the new ones ask it.

    Which they only may while no item that is there has a label of the other kind.
    """
    present = state.labels
    to_objects = dtype.kind == "O" and present.values.dtype.kind != "O"
    to_integers = dtype.kind != "O" and not state.vectors.n_alive
    if not to_objects and not to_integers:
        return present
    none = np.full(present.size, None if to_objects else NO_LABEL, dtype)
    return Column(np.empty(0, dtype)).append(none)


def _as_objects(labels: np.ndarray) -> np.ndarray:
    """Strings and None; integer columns get here only when no item has a label."""
    return labels if labels.dtype == object else np.full(len(labels), None, object)


def _label_arrays(labels: np.ndarray) -> dict[str, np.ndarray]:
    """Integers as they are; strings as numbers of a vocabulary, -1 for None."""
    if labels.dtype != object:
        return {"labels": labels}
    vocabulary = sorted({label for label in labels.tolist() if label is not None})
    number = {None: -1, **{text: i for i, text in enumerate(vocabulary)}}
    numbers = np.array([number[label] for label in labels.tolist()], np.int64)
    return {"labels": numbers, **_packed("vocabulary", vocabulary)}


def _labels_from(arrays: dict[str, np.ndarray]) -> np.ndarray:
    labels = arrays["labels"]
    if "vocabulary" not in arrays:
        return labels
    vocabulary = np.array([*_unpacked("vocabulary", arrays), None], object)
    return vocabulary[labels]


def _data_arrays(data: Items, rows: np.ndarray) -> dict[str, np.ndarray]:
    if data.is_empty():
        return {}
    array = data.as_array(rows)
    if array is not None:
        return {"data": array}
    return _packed("data_items", [data[row] for row in rows.tolist()])


def _data_from(arrays: dict[str, np.ndarray]) -> "Sequence[Any] | np.ndarray | None":
    if "data" in arrays:
        return arrays["data"]
    return _unpacked("data_items", arrays) if "data_items" in arrays else None


def _packed(name: str, values: Sequence[Any]) -> dict[str, np.ndarray]:
    """Encoded items, one behind the other, and where each ends."""
    encoded = [items.encode(value) for value in values]
    ends = np.cumsum([len(part) for part in encoded], dtype=np.int64)
    raw = np.frombuffer(bytearray(b"".join(encoded)), np.uint8)
    return {name: raw, f"{name}_ends": ends}


def _unpacked(name: str, arrays: dict[str, np.ndarray]) -> list[Any]:
    raw, ends = arrays[name].tobytes(), arrays[f"{name}_ends"].tolist()
    return [
        items.decode(raw[start:end])
        for start, end in zip([0, *ends], ends, strict=False)
    ]
