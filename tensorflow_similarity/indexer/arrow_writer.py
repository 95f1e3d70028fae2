"""How the facts of an index are laid out in Arrow's columns, and written in batches."""

import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from tensorflow_similarity.indexer.arrow_data import NONE, DataKind, data_kind, sample
from tensorflow_similarity.stores import StoreSnapshot
from tensorflow_similarity.types import NO_LABEL

FORMAT = 1
#: Under which the schema's metadata hold what Arrow's types do not say.
MARK = b"tensorflow_similarity"
#: Columns that are not metadata.
OWN = ("id", "embedding", "label", "data")
# Before the name of a metadata column that has one of those names.
_PREFIX = "metadata."
# A batch, which is a row group of a Parquet file: rows, and bytes of vectors and data.
_BATCH_ROWS = 65_536
_BATCH_BYTES = 32 * 2**20


def marked(facts: dict[str, Any]) -> bytes:
    """Facts for the schema's metadata, behind a checksum: Parquet has none."""
    text = json.dumps(facts).encode()
    return b"%08x %s" % (zlib.crc32(text), text)


def rows_a_batch(row_bytes: int) -> int:
    """How many rows of so many bytes a batch holds."""
    return max(min(_BATCH_BYTES // max(row_bytes, 1), _BATCH_ROWS), 1)


@dataclass(frozen=True)
class Form:
    """How a snapshot is written.

    Args:
        rows: those that are alive.
        names: of the table's metadata columns, by their own name.
        n_rows: of a batch.
    """

    dim: int
    rows: np.ndarray
    own_ids: bool
    id_type: str
    label_type: str
    names: dict[str, str]
    kinds: dict[str, str]
    data: DataKind
    n_rows: int

    @classmethod
    def of(cls, snapshot: StoreSnapshot) -> "Form":
        rows = snapshot.vectors.alive_rows()
        columns = snapshot.metadata.columns
        kind = data_kind(snapshot.items, rows)
        row_bytes = 4 * snapshot.vectors.dim
        row_bytes += kind.item_bytes(sample(snapshot.items, rows))
        return cls(
            snapshot.vectors.dim,
            rows,
            snapshot.own_ids is not None,
            _type_of(snapshot.ids),
            _type_of(snapshot.labels),
            {n: f"{_PREFIX}{n}" if _taken(n) else n for n in columns},
            {name: column.kind for name, column in columns.items()},
            kind,
            rows_a_batch(row_bytes),
        )

    def schema(self, pa: Any) -> Any:
        width = self.dim or -1  # of any width while the index never held an item
        fields = [
            pa.field("id", pa.type_for_alias(self.id_type), nullable=False),
            pa.field("embedding", pa.list_(pa.float32(), width), nullable=False),
            pa.field("label", pa.type_for_alias(self.label_type)),
        ]
        for name, kind in self.kinds.items():
            fields.append(
                pa.field(self.names[name], pa.type_for_alias(_ARROW_TYPES[kind]))
            )
        if self.data != NONE:
            fields.append(pa.field("data", self.data.arrow_type(pa)))
        facts = {
            "format": FORMAT,
            "own_ids": self.own_ids,
            "metadata": {column: name for name, column in self.names.items()},
            "data": self.data.get_config(),
        }
        return pa.schema(fields, metadata={MARK: marked(facts)})

    def batches(self, snapshot: StoreSnapshot, pa: Any) -> Iterator[Any]:
        schema = self.schema(pa)
        for first in range(0, len(self.rows), self.n_rows):
            rows = self.rows[first : first + self.n_rows]
            flat = pa.array(snapshot.vectors.take(rows).reshape(-1))
            labels = snapshot.labels[rows]
            columns = [
                pa.array(snapshot.ids[rows].tolist(), schema.field("id").type),
                pa.FixedSizeListArray.from_arrays(flat, self.dim),
                _with_nulls(labels, labels == NO_LABEL, schema.field("label").type, pa),
            ]
            for name in self.names:
                column = snapshot.metadata.columns[name]
                kind = schema.field(self.names[name]).type
                columns.append(pa.array(column.plain(rows), kind))
            if self.data != NONE:
                columns.append(self.data.column(snapshot.items.take(rows.tolist()), pa))
            yield pa.record_batch(columns, schema=schema)


_ARROW_TYPES = {
    "integers": "int64",
    "floats": "double",
    "booleans": "bool",
    "strings": "string",
}


def _type_of(values: np.ndarray) -> str:
    return "string" if values.dtype == object else "int64"


def _taken(name: str) -> bool:
    return name in OWN or name.startswith(_PREFIX)


def _with_nulls(values: np.ndarray, missing: np.ndarray, kind: Any, pa: Any) -> Any:
    if values.dtype == object:
        return pa.array(values.tolist(), kind)
    return pa.array(values, kind, mask=missing)
