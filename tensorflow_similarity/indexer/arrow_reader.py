"""How Arrow's columns, ours or of other programs, become what a store takes."""

import json
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from tensorflow_similarity.indexer.arrow_data import DataKind
from tensorflow_similarity.indexer.arrow_writer import FORMAT, MARK, OWN, rows_a_batch

Batch = dict[str, Any]
# The width of lists that do not say theirs, to bound a batch by.
_SOME_WIDTH = 512


@dataclass(frozen=True)
class Reader:
    """How a table is read.

    Args:
        names: of the metadata columns, by their name in the table.
        data: what the data are; None in a table of another program.
    """

    has_ids: bool
    has_labels: bool
    has_data: bool
    names: dict[str, str]
    data: DataKind | None
    n_rows: int

    @classmethod
    def of(cls, schema: Any, keys_as_ids: bool, pa: Any) -> "Reader":
        columns = dict(zip(schema.names, schema.types, strict=True))
        kind = columns.get("embedding")
        lists = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
        if kind is None or not any(is_list(kind) for is_list in lists):
            raise ValueError(
                "The table must have a column 'embedding' of lists of numbers. "
                f"Received the columns: {', '.join(map(repr, columns))}."
            )
        ours = _facts(schema)
        names = ours["metadata"] if ours else {n: n for n in columns if n not in OWN}
        for name in names:
            _check_metadata(name, columns[name], pa)
        width = kind.list_size if pa.types.is_fixed_size_list(kind) else _SOME_WIDTH
        return cls(
            "id" in columns and (not ours or ours["own_ids"] or keys_as_ids),
            "label" in columns,
            "data" in columns,
            names,
            DataKind.from_config(ours["data"]) if ours else None,
            rows_a_batch(4 * width),
        )

    def batch(self, part: Any) -> Batch:
        labels = _plain(part.column("label")) if self.has_labels else None
        data = None
        if self.has_data:
            column = part.column("data")
            data = column.to_pylist() if self.data is None else self.data.items(column)
        return {
            "embeddings": _embeddings(part.column("embedding")),
            "labels": labels,
            "data": data,
            "ids": _plain(part.column("id")) if self.has_ids else None,
            "metadata": {
                name: _plain(part.column(column)) for column, name in self.names.items()
            }
            or None,
        }


def _facts(schema: Any) -> dict[str, Any] | None:
    """What this library wrote into the schema; None in a table of another program."""
    text = (schema.metadata or {}).get(MARK)
    if text is None:
        return None
    checksum, _, text = text.partition(b" ")
    if checksum != b"%08x" % zlib.crc32(text):
        raise ValueError("The schema of the table is damaged. Write the table again.")
    facts: dict[str, Any] = json.loads(text)
    if facts["format"] > FORMAT:
        raise ValueError(
            f"The table has format {facts['format']}, this version reads formats up to "
            f"{FORMAT}. Install a newer tensorflow_similarity."
        )
    # A selection of the columns is read, too.
    names = {c: name for c, name in facts["metadata"].items() if c in schema.names}
    return {**facts, "metadata": names}


def _check_metadata(name: str, kind: Any, pa: Any) -> None:
    types = pa.types
    if types.is_dictionary(kind):
        kind = kind.value_type
    plain = (
        *(types.is_integer, types.is_floating, types.is_boolean, types.is_null),
        *(types.is_string, types.is_large_string, types.is_string_view),
    )
    if not any(is_plain(kind) for is_plain in plain):
        raise TypeError(
            f"The column {name!r} cannot be metadata: it holds {kind}. Columns may "
            "hold integers, floats, booleans or strings; drop this one, or cast it."
        )


def _embeddings(column: Any) -> np.ndarray:
    """Lists of numbers of one length as an array, shape (n, dim)."""
    if column.null_count:
        raise ValueError(
            f"The column 'embedding' must hold no nulls. Received: {column.null_count}."
        )
    flat = column.flatten()
    dim, rest = divmod(len(flat), max(len(column), 1))
    offsets = getattr(column, "offsets", None)
    unequal = offsets is not None and (np.diff(offsets.to_numpy()) != dim).any()
    if rest or unequal:
        raise ValueError("The column 'embedding' must hold lists of one length.")
    return np.asarray(flat.to_numpy(zero_copy_only=False).reshape(len(column), dim))


def _plain(column: Any) -> "np.ndarray | list[Any]":
    """Numbers without nulls as an array, anything else as a list."""
    values = column
    if hasattr(column, "dictionary_decode"):
        values = column.dictionary_decode()
    kind = str(values.type)
    if values.null_count or "string" in kind or kind == "null":
        return list(values.to_pylist())
    return np.asarray(values.to_numpy(zero_copy_only=False))
