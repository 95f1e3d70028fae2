"""Files of a search's state: one list of segments, and a folder for each of them.

A segment never changes, so its folder is written once and taken over afterwards.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tensorflow_similarity._core import files
from tensorflow_similarity._core.vectors import Vectors
from tensorflow_similarity.search.copies import Copies
from tensorflow_similarity.search.segments import SearchState, Segment

_STATE_FILE = "segments.json"
_ROWS_FILE = "rows.npz"
_STRUCTURE = "structure"


def write(
    state: SearchState,
    folder: files.NewFolder,
    at: str,
    identity: dict[str, Any],
    save: Callable[[Any, Path], None],
) -> None:
    """Writes a state under `at` of a folder that is being written.

    Args:
        identity: what a reader must have alike; plain types.
        save: writes a structure into a new folder.
    """
    (folder.path / at).mkdir(parents=True)
    entries = [
        {
            "name": segment.name,
            "start": segment.start,
            "end": segment.end,
            "n_positions": segment.n_positions,
            "has_rows": segment.rows is not None,
        }
        for segment in state.segments
    ]
    facts = {**identity, "n_built": state.n_built, "segments": entries}
    # Written in any case: what the manifest does not list is never read.
    text = json.dumps(facts, indent=1)
    (folder.path / at / _STATE_FILE).write_text(text, encoding="utf-8")
    for segment in state.segments:
        if not _taken_over(folder, f"{at}/{segment.name}"):
            _write_segment(segment, folder.path / at / segment.name, save)


def _taken_over(folder: files.NewFolder, at: str) -> bool:
    """Whether the folder that is replaced held all files of this segment."""
    known = [name for name in folder.known if name.startswith(f"{at}/")]
    if known and all([folder.keep(name) for name in known]):
        return True
    # Nothing may be written into what stands in two folders.
    for name in known:
        folder.kept.pop(name, None)
    shutil.rmtree(folder.path / at, ignore_errors=True)
    return False


def _write_segment(
    segment: Segment, path: Path, save: Callable[[Any, Path], None]
) -> None:
    (path / _STRUCTURE).mkdir(parents=True)
    if segment.rows is not None:
        arrays = {"rows": segment.rows}
        if segment.copies is not None:
            arrays.update(
                copies=segment.copies.rows,
                copied_positions=segment.copies.positions,
                copied_ends=segment.copies.ends,
            )
        files.write_arrays(path / _ROWS_FILE, arrays)
    save(segment.structure, path / _STRUCTURE)


def read(
    path: Path,
    vectors: Vectors,
    identity: dict[str, Any],
    load: Callable[[Path, int], Any],
) -> SearchState:
    """The state that `write` wrote, over the rows as they were written.

    Args:
        identity: a state with another one is left out: no segments then.
        load: reads a structure of so many positions; None if it cannot.

    Raises:
        ValueError: for files that are not as they were written.
    """
    if not (path / _STATE_FILE).is_file():
        return SearchState(vectors)
    try:
        facts = json.loads((path / _STATE_FILE).read_text(encoding="utf-8"))
        n_built, entries = int(facts["n_built"]), facts["segments"]
        if n_built > vectors.size or {**facts, **identity} != facts:
            return SearchState(vectors)
        segments = []
        for entry in entries:
            segment = _read_segment(path, load, **entry)
            if segment is None:
                return SearchState(vectors)
            segments.append(segment)
    except (TypeError, KeyError, IndexError, ValueError) as error:
        raise ValueError(
            f"{str(path)!r} does not hold a search as it was written. Restore it from "
            f"a copy, or build the index again. ({error})"
        ) from error
    return SearchState(vectors, tuple(segments), n_built)


def _read_segment(
    path: Path,
    load: Callable[[Path, int], Any],
    name: str,
    start: int,
    end: int,
    n_positions: int,
    has_rows: bool,
) -> Segment | None:
    rows, copies, n_known = None, None, end - start
    if has_rows:
        arrays = files.read_arrays(path / name / _ROWS_FILE)
        rows = arrays["rows"]
        n_known = len(rows)
        _check_within(rows, start, end)
        if "copies" in arrays:
            copies = Copies(
                arrays["copied_positions"], arrays["copied_ends"], arrays["copies"]
            )
            _check_within(copies.rows, start, end)
            _check_within(copies.positions, 0, n_known)
            _check_within(copies.ends, 0, len(copies.rows) + 1)
    if n_known != n_positions:
        raise ValueError(f"{n_known} rows for {n_positions} positions")
    structure = load(path / name / _STRUCTURE, n_positions)
    if structure is None:
        return None
    return Segment(structure, start, end, rows, copies, name)


def _check_within(numbers: np.ndarray, start: int, end: int) -> None:
    if len(numbers) and not start <= numbers.min() <= numbers.max() < end:
        raise ValueError(f"numbers that are not within {start} and {end}")
