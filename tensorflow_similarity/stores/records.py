"""What a store writes down of a change, and the facts that follow from all of them.

A record is a dict of plain values and arrays: the columns of rows `first` to
`first + n`, rows removed and relabelled anywhere, checksums of the blocks of vectors
that it filled. Several records in a row can become one, `merged`.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tensorflow_similarity._core.columns import Column
from tensorflow_similarity._core.id_index import IdIndex
from tensorflow_similarity._core.table import MetadataColumn, Table
from tensorflow_similarity._core.vectors import Vectors
from tensorflow_similarity.stores.snapshot import StoreSnapshot
from tensorflow_similarity.types import NO_LABEL

Record = dict[str, Any]

# Rows in one record: some megabytes, far below the gigabyte that SQLite allows.
ROWS_A_RECORD = 262_144


def rows_added(
    snapshot: StoreSnapshot, first: int, offsets: np.ndarray | None
) -> list[Record]:
    """Records of the rows from `first` on; at least one.

    Args:
        offsets: where user data of all rows stand, -1 for none.
    """
    size = snapshot.vectors.size
    starts = range(first, max(size, first + 1), ROWS_A_RECORD)
    return [
        _rows(snapshot, start, min(start + ROWS_A_RECORD, size), offsets)
        for start in starts
    ]


def _rows(
    snapshot: StoreSnapshot, first: int, end: int, offsets: np.ndarray | None
) -> Record:
    record: Record = {"first": first, "n": end - first}
    keys = snapshot.keys[first:end]
    if len(keys):
        rising = int(keys[-1]) - int(keys[0]) == len(keys) - 1
        record["keys"] = int(keys[0]) if rising else keys
    labels = _stored(snapshot.labels[first:end])
    if labels is not None:
        record["labels"] = labels
    if snapshot.own_ids is not None:
        record["ids"] = _stored(snapshot.own_ids.values[first:end])
    if snapshot.metadata.columns:
        record["metadata"] = {
            name: _stored_metadata(column, first, end)
            for name, column in snapshot.metadata.columns.items()
        }
    if offsets is not None and (offsets[first:end] >= 0).any():
        record["data"] = offsets[first:end]
    return record


def merged(
    records: Sequence[Record], snapshot: StoreSnapshot, offsets: np.ndarray | None
) -> Record:
    """One record for the last ones of a log.

    Args:
        snapshot: the facts after them.
    """
    first = records[0]["first"]
    record = _rows(snapshot, first, snapshot.vectors.size, offsets)
    removed = _together(records, "removed")
    if len(removed):
        record["removed"] = removed
    rows = _together(records, "relabelled")
    named = np.zeros(first, bool)
    named[rows[rows < first]] = True
    if named.any():
        relabelled = np.flatnonzero(named)
        record["relabelled"] = relabelled
        record["as"] = _stored(snapshot.labels[relabelled])
    blocks = _together(records, "blocks")
    if len(blocks):
        record["blocks"] = blocks
    return record


def _together(records: Sequence[Record], name: str) -> np.ndarray:
    found = [record[name] for record in records if name in record]
    return np.concatenate([np.empty(0, np.int64), *found])


def relabelling(first: int, rows: np.ndarray, labels: np.ndarray) -> Record:
    """The record of other labels for some rows."""
    return {"first": first, "n": 0, "relabelled": rows, "as": _stored(labels)}


def weight_of(record: Record) -> int:
    """How many rows a record names: what it costs to write it again."""
    named = sum(len(record.get(name, ())) for name in ("removed", "relabelled"))
    return int(record["n"]) + named


@dataclass(frozen=True, eq=False)
class Replayed:
    """What all records say: facts without vectors, and where those and data stand."""

    snapshot: StoreSnapshot
    dead: np.ndarray
    offsets: np.ndarray | None
    blocks: np.ndarray


def kinds_of(snapshot: StoreSnapshot) -> dict[str, str | None]:
    """What `replay` must know beyond the records: the kinds of labels and ids now."""
    own = snapshot.own_ids
    return {
        "labels": "strings" if snapshot.labels.dtype == object else "integers",
        "ids": None if own is None else own.kind,
    }


def replay(head: dict[str, Any], records: Iterable[Record]) -> Replayed:
    """The facts after all records.

    Args:
        head: `rows`, `next_key`, `lineage`, and what `kinds_of` gave.
    """
    n = head["rows"]
    keys = np.empty(n, np.int64)
    labels = _none(n, head["labels"])
    ids = None if head["ids"] is None else _none(n, head["ids"])
    offsets: np.ndarray | None = None
    dead = np.zeros(n, bool)
    nothing = np.empty(0, np.int64)
    blocks = [nothing]
    table = Table()
    for record in records:
        here = slice(record["first"], record["first"] + record["n"])
        if record["n"]:
            first = record["keys"]
            keys[here] = (
                np.arange(first, first + record["n"])
                if isinstance(first, int)
                else first
            )
        _put(labels, here, record.get("labels"))
        if ids is not None:
            _put(ids, here, record.get("ids"))
        metadata = record.get("metadata", {})
        batch = {
            name: _metadata_from(stored, record["n"])
            for name, stored in metadata.items()
        }
        table = table.appended(batch, record["n"])
        if "data" in record:
            offsets = np.full(n, -1) if offsets is None else offsets
            offsets[here] = record["data"]
        if "relabelled" in record:
            _put(labels, record["relabelled"], record["as"])
        dead[record.get("removed", nothing)] = True
        blocks.append(record.get("blocks", nothing))
    snapshot = StoreSnapshot(
        Vectors(0),
        _column(keys),
        _column(labels),
        own_ids=None if ids is None else IdIndex.of(ids),
        metadata=table,
        next_key=head["next_key"],
        lineage=head["lineage"],
    )
    return Replayed(snapshot, dead, offsets, np.concatenate(blocks))


def _column(values: np.ndarray) -> Column:
    return Column(values[:0]).append(values)


def _none(n: int, kind: str) -> np.ndarray:
    """A column of labels or ids without any."""
    if kind == "strings":
        return np.full(n, None, object)
    return np.full(n, NO_LABEL, np.int64)


def _put(column: np.ndarray, where: Any, stored: Any) -> None:
    """Writes what was stored; values of another kind than the column now has went
    when it changed its kind.
    """
    values = None if stored is None else _loaded(stored)
    fits = values is not None and values.dtype == column.dtype
    column[where] = values if fits else (None if column.dtype == object else NO_LABEL)


def _stored(values: np.ndarray) -> Any:
    """Labels or ids for a record: None where there are none, texts once each."""
    if values.dtype != object:
        return values if (values != NO_LABEL).any() else None
    given = values.tolist()
    numbers: dict[str | None, int] = {None: -1}
    for text in given:
        numbers.setdefault(text, len(numbers) - 1)
    if len(numbers) == 1:
        return None
    return _texts(list(numbers)[1:], np.array([numbers[text] for text in given]))


def _texts(texts: list[Any], numbers: np.ndarray) -> Record:
    # As one JSON text: a million strings are read ten times as fast as one by one.
    return {"texts": json.dumps(texts).encode(), "numbers": numbers.astype(np.int32)}


def _loaded(stored: Any) -> np.ndarray:
    if isinstance(stored, np.ndarray):
        return stored
    texts = json.loads(stored["texts"])
    return np.asarray(np.array([*texts, None], object)[stored["numbers"]])


def _stored_metadata(column: MetadataColumn, first: int, end: int) -> Any:
    """Values of these rows; only the kind where there are none."""
    rows = slice(first, end)
    part = MetadataColumn(
        column.kind, Column(column.values[rows], end - first), column.vocabulary
    )
    if part.missing.all():
        return column.kind
    if column.kind != "strings":
        return part.values
    used, numbers = np.unique(part.values, return_inverse=True)
    none = int(used[0] < 0)
    texts = [column.vocabulary.texts[number] for number in used[none:].tolist()]
    return _texts(texts, numbers.reshape(-1) - none)


def _metadata_from(stored: Any, n: int) -> np.ndarray:
    if isinstance(stored, str):
        return MetadataColumn.missing_for(stored, n).at(np.arange(n))
    return _loaded(stored)
