"""What stands in the folder of a store on disk, and how it is read."""

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from tensorflow_similarity._core.columns import Items
from tensorflow_similarity._core.files import damaged
from tensorflow_similarity._core.vectors import Vectors, rows_per_block
from tensorflow_similarity.stores.change_log import (
    FILE,
    OWN_FILES,
    Head,
    read_log,
    state_of,
)
from tensorflow_similarity.stores.records import Replayed, kinds_of, replay
from tensorflow_similarity.stores.row_files import (
    DataFile,
    GrowingFile,
    StoredItems,
    VectorFile,
)
from tensorflow_similarity.stores.snapshot import StoreSnapshot

_READINGS = 5
_ROW_FILE = re.compile(r"(vectors-\d+\.f32|data-\d+\.bin)")

_NAMES: dict[type[GrowingFile], str] = {
    VectorFile: "vectors-{}.f32",
    DataFile: "data-{}.bin",
}

AnyFile = TypeVar("AnyFile", bound=GrowingFile)


def read_folder(folder: Path) -> StoreSnapshot:
    """The facts in a folder as they are now, without any right to write.

    Raises:
        FileNotFoundError: if there is no store.
        OSError, RuntimeError, ValueError: as `ChangeLog`.
    """
    for reading in range(_READINGS):
        state = state_of(folder)
        try:
            return _read_once(folder)
        except (ValueError, FileNotFoundError):
            # A writer may have put other files in their place meanwhile.
            if reading == _READINGS - 1 or state == state_of(folder):
                raise
    raise RuntimeError(f"The store in {str(folder)!r} does not come to rest.")


def _read_once(folder: Path) -> StoreSnapshot:
    head, records = read_log(folder)
    check_head(folder, head)
    vectors = data = None
    if head["rows"]:
        vectors = opened(VectorFile, folder, head["vectors"], 1, writable=False)
    if head["data_end"]:
        data = opened(DataFile, folder, head["data"], 1, writable=False)
    try:
        return snapshot_in(folder, head, replay(head, records), vectors, data)
    except ValueError as error:
        if any("rows" in record for record in records):
            raise ValueError(
                f"{error} If the power failed, opening it once for writing mends it."
            ) from error
        raise


def check_place(folder: Path, shares: bool) -> None:
    """Refuses what is no place for a store, before anything is written there."""
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"{str(folder)!r} is a file. Give the path of a folder.")
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / FILE).exists():
        return
    if row_files(folder):
        raise damaged(folder, f"the file {FILE!r} is missing")
    others = [file.name for file in folder.iterdir() if file.name not in OWN_FILES]
    if others and not shares:
        raise FileExistsError(
            f"{str(folder)!r} holds something that is no store ({sorted(others)[0]!r}, "
            "for example). Give the path of a new folder, or of an empty one."
        )


def check_head(folder: Path, head: Head) -> None:
    """Refuses a store whose blocks this version would read wrongly."""
    height = rows_per_block(head["dim"])
    if head["height"] != height:
        raise ValueError(
            f"The store in {str(folder)!r} has blocks of {head['height']} rows, this "
            f"version reads blocks of {height}. Install the tensorflow_similarity that "
            "wrote it."
        )


def head_of(files: Head, snapshot: StoreSnapshot, tail: int, dim: int) -> Head:
    """What the log says beyond its records.

    Args:
        files: the numbers of the files of `vectors` and `data`; the bytes of data
            that count, `data_end`.
        tail: checksum of the rows of the last block if it is not full.
        dim: width of the vectors.
    """
    return {
        **{name: files[name] for name in ("vectors", "data", "data_end")},
        **kinds_of(snapshot),
        "rows": snapshot.vectors.size,
        "dim": dim,
        "height": rows_per_block(dim),
        "next_key": snapshot.next_key,
        "lineage": snapshot.lineage,
        "tail": tail,
    }


def place_in(folder: Path, kind: type[GrowingFile], number: int) -> Path:
    """Where the vectors or data of this number stand."""
    return folder / _NAMES[kind].format(number)


def row_files(folder: Path) -> list[Path]:
    """Every file of vectors or data in a folder, named by a log or not."""
    return [file for file in folder.iterdir() if _ROW_FILE.fullmatch(file.name)]


def opened(
    kind: type[AnyFile], folder: Path, number: int, size: int, writable: bool = True
) -> AnyFile:
    """A file that must be there if anything was written to it, and is begun if not."""
    file = place_in(folder, kind, number)
    if size and not file.is_file():
        raise damaged(folder, f"the file {file.name!r} is missing")
    return kind(file, writable, new=writable and not size)


def snapshot_in(
    folder: Path,
    head: Head,
    replayed: Replayed,
    vectors: VectorFile | None,
    data: DataFile | None,
) -> StoreSnapshot:
    """The facts that a log tells, with vectors and data in their files.

    Raises:
        ValueError: if a file is shorter than it must be.
    """
    for file, size in (
        (vectors, head["rows"] * 4 * head["dim"]),
        (data, head["data_end"]),
    ):
        if file is not None and file.size < size:
            raise damaged(
                folder,
                f"the file {file.file.name!r} has {file.size} bytes, {size} were "
                "written",
            )
    chunk = None
    if replayed.offsets is not None and data is not None:
        chunk = StoredItems(data, replayed.offsets)
    return replace(
        replayed.snapshot,
        vectors=vectors_in(head, replayed.dead, replayed.blocks.tolist(), vectors),
        items=Items().append(chunk, head["rows"]),
    )


def vectors_in(
    head: Head, dead: np.ndarray, blocks: list[int], file: VectorFile | None
) -> Vectors:
    """The view of all rows in the file."""
    rows, dim = head["rows"], head["dim"]
    if file is None or not rows:
        return Vectors(dim)
    parts = file.blocks(0, blocks, dim)
    if rows % head["height"]:
        parts.append(file.tail(rows, head["tail"], dim))
    n_dead = int(np.count_nonzero(dead))
    return Vectors(dim, rows, dead if n_dead else None, n_dead, tuple(parts), [rows])


def sync_folder(folder: Path) -> None:
    """Waits until the disk has the names of new files."""
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
