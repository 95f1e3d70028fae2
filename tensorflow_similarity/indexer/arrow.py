"""An index as an Arrow table or a Parquet file, and back, in batches of bounded size.

Columns: `id`, `embedding`, `label`, each metadata column under its own name, `data`.
What is not in Arrow's types, such as which ids are the user's own, stands in the
schema's metadata; tables of other programs are read without it.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tensorflow_similarity._core import files
from tensorflow_similarity._core.optional import optional_import
from tensorflow_similarity.indexer.arrow_reader import Batch, Reader
from tensorflow_similarity.indexer.arrow_writer import Form
from tensorflow_similarity.stores import StoreSnapshot

_PURPOSE = "Exchanging an index as Arrow or Parquet"


def to_arrow(snapshot: StoreSnapshot) -> Any:
    """The items as a `pyarrow.Table`, in the order they were added.

    `id` holds the user's own ids, or the keys; `embedding` a list of float32 of fixed
    size. User data are numbers, texts, bytes or arrays alike as Arrow has them, with
    null where there are none; any others are encoded as bytes, which `from_arrow`
    reads.

    Raises:
        ImportError: without the package pyarrow.
    """
    pa = optional_import("pyarrow", purpose=_PURPOSE)
    form = Form.of(snapshot)
    return pa.Table.from_batches(form.batches(snapshot, pa), form.schema(pa))


def to_parquet(
    snapshot: StoreSnapshot, path: str | Path, compression: str = "zstd"
) -> None:
    """The items as a Parquet file with the columns of `to_arrow`, whole or not at all.

    Args:
        path: a file there is replaced.
        compression: as `pyarrow.parquet` names it.

    Raises:
        ImportError: without the package pyarrow.
        IsADirectoryError: if `path` is a folder.
    """
    pa = optional_import("pyarrow", purpose=_PURPOSE)
    parquet = optional_import("pyarrow.parquet", purpose=_PURPOSE)
    path = Path(path).resolve()
    if path.is_dir():
        raise IsADirectoryError(
            f"`path` must be a file. {str(path)!r} is a folder; add a name such as "
            "'index.parquet'."
        )
    form = Form.of(snapshot)
    with files.new_beside(path) as new:
        schema = form.schema(pa)
        # Without checksums a flipped bit would be read as another number.
        settings = {"compression": compression, "write_page_checksum": True}
        with parquet.ParquetWriter(new, schema, **settings) as writer:
            for batch in form.batches(snapshot, pa):
                writer.write_batch(batch)
        with new.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(new, path)


def from_arrow(source: Any, keys_as_ids: bool = False) -> Iterator[Batch]:
    """What `Store.batch_add` takes, batch by batch: `store.batch_add(**batch)`.

    Args:
        source: a `pyarrow.Table`, `RecordBatch` or `RecordBatchReader`. Of a table
            that this library did not write, `embedding` (lists of numbers) must be
            there; `id`, `label` and `data` may, and all others are metadata.
        keys_as_ids: whether the numbers that an index gave its items itself become
            ids of their own. Defaults to False: they are numbered anew.

    Raises:
        ImportError: without the package pyarrow.
        TypeError: for anything else, or a column that cannot be metadata.
        ValueError: for a table without embeddings, or of a newer format.
    """
    pa = optional_import("pyarrow", purpose=_PURPOSE)
    if isinstance(source, pa.RecordBatch):
        source = pa.Table.from_batches([source])
    if not isinstance(source, pa.Table | pa.RecordBatchReader):
        raise TypeError(
            "`source` must be a pyarrow Table, RecordBatch or RecordBatchReader. "
            f"Received: a {type(source).__name__}."
        )
    reader = Reader.of(source.schema, keys_as_ids, pa)
    if isinstance(source, pa.Table):
        source = source.to_batches(max_chunksize=reader.n_rows)
    return (reader.batch(part) for part in source if part.num_rows)


def from_parquet(path: str | Path, keys_as_ids: bool = False) -> Iterator[Batch]:
    """What `Store.batch_add` takes, batch by batch, from a Parquet file.

    Args:
        path: the file; columns and further arguments as of `from_arrow`.

    Raises:
        FileNotFoundError: if it is not there.
        ValueError: if it is no Parquet file, or damaged.
    """
    pa = optional_import("pyarrow", purpose=_PURPOSE)
    parquet = optional_import("pyarrow.parquet", purpose=_PURPOSE)
    if not Path(path).is_file():
        raise FileNotFoundError(f"There is no file {str(path)!r}.")
    unreadable = (pa.ArrowInvalid, OSError)
    try:
        file = parquet.ParquetFile(path, page_checksum_verification=True)
        reader = Reader.of(file.schema_arrow, keys_as_ids, pa)
    except unreadable as error:
        raise _no_parquet(path, error) from error

    def batches() -> Iterator[Batch]:
        left = file.metadata.num_rows
        with file:
            try:
                for part in file.iter_batches(reader.n_rows):
                    left -= part.num_rows
                    if part.num_rows:
                        yield reader.batch(part)
            except unreadable as error:
                raise _no_parquet(path, error) from error
        if left:
            raise _no_parquet(path, f"{left} of its rows are missing")

    return batches()


def _no_parquet(path: str | Path, error: object) -> ValueError:
    return ValueError(
        f"{str(path)!r} is no Parquet file, or damaged. Write it again, or restore it "
        f"from a copy. ({error})"
    )
