"""Index folders of TF Similarity 0.17 and 0.18: read, never written.

`index_metadata.json` says what the index is; `index.npz`, beside it or under `store`,
holds `embeddings`, `labels` and `data`. Arrays of Python objects in it are pickles,
which can run code when they are unpickled: they never are. Of plain values in them
the text is read, see `legacy_objects.py`. The search is built anew.
"""

import json
import logging
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from tensorflow_similarity import distances
from tensorflow_similarity._core import files
from tensorflow_similarity.indexer.legacy_objects import plain_values
from tensorflow_similarity.search import NMSLibSearch
from tensorflow_similarity.types import CalibrationResults

logger = logging.getLogger(__name__)

METADATA = "index_metadata.json"
_ARRAYS = ("index.npz", "store/index.npz")
_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
    # As 2.0, in UTF-8: that differs only for names of fields, which are not here.
    (3, 0): np.lib.format.read_array_header_2_0,
}


def is_legacy(path: str | Path) -> bool:
    """Whether a folder holds an index of TF Similarity 0.17 or 0.18."""
    path = Path(path)
    return (path / METADATA).is_file() and not (path / files.MANIFEST).is_file()


def read_settings(path: Path) -> dict[str, Any]:
    """What makes an index like the one in the folder, for `Indexer`.

    The search is "linear" if it was, or if NMSLIB does not know the distance, else
    "nmslib".

    Raises:
        ValueError: if the metadata are damaged, or name a distance that is not known.
    """
    try:
        found = json.loads((path / METADATA).read_text(encoding="utf-8"))
        dim, name = int(found["embedding_size"]), found["distance"]
    except (ValueError, KeyError, TypeError) as error:
        raise files.damaged(path, f"{METADATA} is not as it was written") from error
    try:
        distance = distances.get(name)
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"The index in {str(path)!r} measures by {name!r}, which is not known "
            f"here. {error} Index your data again with a `Distance` of your own."
        ) from error
    linear = "linear" in json.dumps(found.get("search_config", "")).lower()
    try:
        NMSLibSearch(distance, dim)
    except ValueError:
        linear = True
    return {
        "embedding_size": dim,
        "distance": distance,
        "search": "linear" if linear else "nmslib",
        "embedding_output": found.get("embedding_output"),
        "stat_buffer_size": int(found.get("stat_buffer_size") or 1000),
    }


def read_calibration(path: Path) -> CalibrationResults | None:
    """The calibration in the metadata, None if there is none to go on with.

    Only of the cosine distance: TF Similarity measured by the others in units that
    changed from one search to the next. Else it is left out, with a line in the log.
    """
    found = json.loads((path / METADATA).read_text(encoding="utf-8"))
    if not found.get("is_calibrated"):
        return None
    try:
        if distances.get(found["distance"]) != distances.CosineDistance():
            raise ValueError
        cutpoints = {
            name: {"name": name, **cut, "distance": float(cut["distance"])}
            for name, cut in found["cutpoints"].items()
        }
        cutpoints["optimal"]  # which `match` takes unless told otherwise
        thresholds = {
            name: np.array(values, np.float64)
            for name, values in (found.get("calibration_thresholds") or {}).items()
        }
    except (KeyError, TypeError, ValueError, AttributeError):
        logger.warning(
            "The calibration of the index in %s is not read. Call `calibrate` again.",
            path,
        )
        return None
    config = found.get("calibration_metric_config") or {}
    name = config.get("canonical_name") or config.get("name") or "f1"
    return CalibrationResults(cutpoints, thresholds, settings={"metric": name})


def read_items(
    path: Path, dim: int
) -> "tuple[np.ndarray, np.ndarray | list[Any] | None, np.ndarray | list[Any] | None]":
    """Embeddings, labels and user data in the folder, for `Indexer.batch_add`.

    Labels or user data among which are other Python objects than numbers, strings,
    bytes and None are left out, with a line in the log that says how many they are
    and what to do.

    Args:
        dim: width of the embeddings, as the settings have it.

    Raises:
        FileNotFoundError: if the folder has no `index.npz`.
        ValueError: if it is damaged.
    """
    file = next((path / name for name in _ARRAYS if (path / name).is_file()), None)
    if file is None:
        raise FileNotFoundError(
            f"There is no index.npz in {str(path)!r}, nor in its folder 'store'. Of TF "
            "Similarity's stores only MemoryStore wrote its items with the index. "
            "Index your data again."
        )
    try:
        with zipfile.ZipFile(file) as archive:
            embeddings, labels, data = (
                _plain_array(archive, name) for name in ("embeddings", "labels", "data")
            )
    except files.UNREADABLE as error:
        raise files.damaged(path, f"{file.name} cannot be read ({error})") from error
    if not isinstance(embeddings, np.ndarray) or not embeddings.ndim:
        raise files.damaged(path, f"{file.name} holds no plain embeddings")
    n = len(embeddings)
    if not n:
        return np.empty((0, dim), np.float32), None, None
    if embeddings.shape != (n, dim):
        what = f"embeddings of shape {embeddings.shape}, and not (n, {dim})"
        raise files.damaged(path, f"{file.name} holds {what}")
    for name, found in (("labels", labels), ("data", data)):
        shape = found.shape if isinstance(found, np.ndarray) else (_length(found),)
        if not shape or shape[0] != n:
            what = f"{name} of shape {shape} for {n} embeddings"
            raise files.damaged(path, f"{file.name} holds {what}")
    return (
        embeddings,
        _given(labels, "labels", "y", file),
        _given(data, "data", "data", file),
    )


class _Pickled:
    """An array of Python objects, of which only the length was read."""

    def __init__(self, n: int):
        self.n = n


def _plain_array(
    archive: zipfile.ZipFile, name: str
) -> "np.ndarray | list[Any] | _Pickled":
    """An array of the archive, or the plain values in an array of objects."""
    member = f"{name}.npy"
    with archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        if version not in _HEADERS:
            raise ValueError(f"{member} has the unknown format {version}")
        shape, _, dtype = _HEADERS[version](file)
        if dtype.hasobject:
            n = shape[0] if shape else 1
            values = plain_values(file.read(), n) if len(shape) == 1 else None
            return _Pickled(n) if values is None else values
    with archive.open(member) as file:
        return np.asarray(np.lib.format.read_array(file, allow_pickle=False))


def _length(found: "list[Any] | _Pickled") -> int:
    return found.n if isinstance(found, _Pickled) else len(found)


def _given(
    found: "np.ndarray | list[Any] | _Pickled", what: str, argument: str, file: Path
) -> "np.ndarray | list[Any] | None":
    if not isinstance(found, _Pickled):
        return found
    logger.warning(
        "The %s of %d items in %s are not read: there are pickled objects among them, "
        "which can run code. To have them, index your data again with `%s=...`.",
        what,
        found.n,
        file,
        argument,
    )
    return None
