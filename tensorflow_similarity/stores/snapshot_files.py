"""The facts of a store in files: vectors, columns and user data, each written once.

Files are named after what is in them, so that a later saving takes over those that
did not change. Of removed items only the empty row is written.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tensorflow_similarity._core import files
from tensorflow_similarity._core.columns import Column, Items
from tensorflow_similarity._core.files import NewFolder
from tensorflow_similarity._core.id_index import IdIndex
from tensorflow_similarity._core.items import pack, unpack
from tensorflow_similarity._core.table import Table
from tensorflow_similarity._core.vector_files import read_vectors, write_vectors
from tensorflow_similarity._core.vectors import Vectors
from tensorflow_similarity.stores.snapshot import StoreSnapshot
from tensorflow_similarity.types import NO_LABEL

_LIST = "store.json"
_VECTORS = "vectors"
_FORMAT_1 = "store.npz"
# Items of user data in a file.
_ROWS_A_FILE = 65_536

Arrays = dict[str, np.ndarray]


def write_snapshot(
    snapshot: StoreSnapshot, folder: NewFolder, at: str, compression: bool
) -> None:
    """Writes the facts under `at` of a new folder.

    Args:
        compression: whether all but the vectors is deflated.
    """
    write_vectors(snapshot.vectors, folder, f"{at}/{_VECTORS}")
    data = [
        _write(_data_arrays(snapshot, first), folder, at, "data", compression)
        for first in range(0, snapshot.vectors.size, _ROWS_A_FILE)
    ]
    facts = {
        "columns": _write(_column_arrays(snapshot), folder, at, "columns", compression),
        "data": data,
        "metadata": list(snapshot.metadata.columns),
        "next_key": snapshot.next_key,
        "lineage": snapshot.lineage,
    }
    (folder.path / at / _LIST).write_text(json.dumps(facts), encoding="utf-8")


def read_snapshot(path: Path, mapped: bool = False) -> StoreSnapshot:
    """The facts that `write_snapshot` wrote under `path`.

    Args:
        mapped: whether the vectors stay in their files.

    Raises:
        ValueError: if a file is not as it was written.
    """
    if (path / _FORMAT_1).is_file():
        return _read_format_1(path / _FORMAT_1)
    facts = json.loads((path / _LIST).read_text(encoding="utf-8"))
    vectors = read_vectors(path / _VECTORS, mapped)
    arrays = files.read_arrays(path / facts["columns"])
    if "dead" in arrays:
        vectors = vectors.remove(arrays["dead"])
    batch = {
        name: _strings_or_array(f"metadata_{i}", arrays)
        for i, name in enumerate(facts["metadata"])
    }
    own_ids = _strings_or_array("ids", arrays) if _has("ids", arrays) else None
    items = Items()
    for first, name in zip(
        range(0, vectors.size, _ROWS_A_FILE), facts["data"], strict=True
    ):
        n = min(_ROWS_A_FILE, vectors.size - first)
        chunk = None if name is None else _data_from(files.read_arrays(path / name))
        items = items.append(chunk, n)
    return StoreSnapshot(
        vectors,
        _column(arrays["keys"]),
        _column(_strings_or_array("labels", arrays)),
        items,
        None if own_ids is None else IdIndex.of(own_ids),
        Table().appended(batch, vectors.size),
        facts["next_key"],
        facts["lineage"],
    )


def _write(
    arrays: Arrays, folder: NewFolder, at: str, kind: str, compression: bool
) -> str | None:
    """Writes arrays, if there are any, into a file named after them; its name."""
    if not arrays:
        return None
    content = hashlib.sha256()
    for name, array in arrays.items():
        content.update(f"{name} {array.dtype.str} {array.shape}".encode())
        content.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    name = f"{kind}-{content.hexdigest()[:24]}.npz"
    if not folder.keep(f"{at}/{name}"):
        small = set(arrays) if compression else ()
        files.write_arrays(folder.path / at / name, arrays, compressed=small)
    return name


def _column_arrays(snapshot: StoreSnapshot) -> Arrays:
    """Keys, labels, own ids and metadata; where a row is dead, what stands for none."""
    dead = snapshot.vectors.dead
    arrays = {"keys": snapshot.keys, **_labels_arrays("labels", snapshot.labels, dead)}
    if dead is not None:
        arrays["dead"] = np.flatnonzero(dead)
    if snapshot.own_ids is not None:
        arrays |= _labels_arrays("ids", snapshot.own_ids.values, dead)
    rows = np.arange(snapshot.vectors.size)
    for i, values in enumerate(snapshot.metadata.at(rows).values()):
        arrays |= _labels_arrays(f"metadata_{i}", values, dead)
    return arrays


def _labels_arrays(name: str, values: np.ndarray, dead: np.ndarray | None) -> Arrays:
    """Numbers as they are; strings as numbers of a vocabulary, -1 for None."""
    if dead is not None:
        values = values.copy()
        values[dead] = _none_of(values.dtype)
    if values.dtype != object:
        return {name: values}
    vocabulary = sorted({text for text in values.tolist() if text is not None})
    number = {None: -1, **{text: i for i, text in enumerate(vocabulary)}}
    numbers = np.array([number[text] for text in values.tolist()], np.int64)
    raw, ends = pack(vocabulary)
    return {f"{name}_numbers": numbers, f"{name}_texts": raw, f"{name}_ends": ends}


def _none_of(dtype: np.dtype) -> Any:
    """What stands for "no value" in a column of this dtype."""
    kinds = {"O": None, "f": np.nan, "i": NO_LABEL if dtype.itemsize == 8 else -1}
    return kinds[dtype.kind]


def _has(name: str, arrays: Arrays) -> bool:
    return name in arrays or f"{name}_numbers" in arrays


def _strings_or_array(name: str, arrays: Arrays) -> np.ndarray:
    if name in arrays:
        return arrays[name]
    texts = unpack(arrays[f"{name}_texts"], arrays[f"{name}_ends"])
    return np.asarray(np.array([*texts, None], object)[arrays[f"{name}_numbers"]])


def _data_arrays(snapshot: StoreSnapshot, first: int) -> Arrays:
    """User data of one file's rows, nothing for the dead; {} if there are none."""
    end = min(first + _ROWS_A_FILE, snapshot.vectors.size)
    values = snapshot.items.part(first, end)
    dead = snapshot.vectors.dead
    gone = np.zeros(end - first, bool) if dead is None else dead[first:end]
    if isinstance(values, np.ndarray):
        if gone.any():
            values = values.copy()
            values[gone] = np.zeros((), values.dtype)
        return {"data": values}
    values = [
        None if out else value for value, out in zip(values, gone.tolist(), strict=True)
    ]
    if all(value is None for value in values):
        return {}
    raw, ends = pack(values)
    return {"data_items": raw, "data_items_ends": ends}


def _data_from(arrays: Arrays) -> "Sequence[Any] | np.ndarray":
    if "data" in arrays:
        return arrays["data"]
    return unpack(arrays["data_items"], arrays["data_items_ends"])


def _column(values: np.ndarray) -> Column:
    return Column(values[:0]).append(values)


def _read_format_1(file: Path) -> StoreSnapshot:
    """What versions before 1.0 wrote: one file, without removed rows."""
    arrays = files.read_arrays(file)
    embeddings, n = arrays["embeddings"], len(arrays["embeddings"])
    labels = arrays["labels"]
    if "vocabulary" in arrays:
        texts = unpack(arrays["vocabulary"], arrays["vocabulary_ends"])
        labels = np.array([*texts, None], object)[labels]
    has_data = "data" in arrays or "data_items" in arrays
    return StoreSnapshot(
        Vectors(embeddings.shape[1]).append(embeddings),
        _column(arrays["keys"]),
        _column(labels),
        Items().append(_data_from(arrays) if has_data else None, n),
        metadata=Table(n),
        next_key=int(arrays["next_key"]),
    )
