"""Indexes of Faiss, their files, and the import of the module."""

import contextlib
import os
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from tensorflow_similarity._core.optional import optional_import


@dataclass(frozen=True, eq=False)
class Structure:
    """A Faiss index over fixed rows.

    Args:
        index: the index, trained and filled.
        zeros: by cosine, positions of rows without a direction; None: there are none.
        file: of a memory-mapped index the file, held open: it is what `_save` copies.
    """

    index: Any
    zeros: np.ndarray | None = None
    file: BinaryIO | None = None

    def __post_init__(self) -> None:
        if self.file is not None:
            weakref.finalize(self, self.file.close)


def has_lists(index: Any) -> bool:
    """Whether a lookup looks through some of its lists."""
    return isinstance(index, faiss_module().IndexIVF)


def read(path: Path, n_rows: int, dim: int, mmap: bool) -> Any:
    """The index in a file, which stays there with `mmap`.

    Raises:
        ValueError: for a file of something else, or of another size or width.
    """
    faiss = faiss_module()
    try:
        index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP if mmap else 0)
    except RuntimeError as error:
        raise ValueError(
            f"{str(path)!r} is not a file of Faiss. Restore it from a copy, or build "
            f"the index again, by `build(force=True)`. ({error})"
        ) from error
    if (index.d, index.ntotal) != (dim, n_rows):
        raise ValueError(
            f"{str(path)!r} holds {index.ntotal} rows of width {index.d} in place of "
            f"{n_rows} of width {dim}. Restore it from a copy, or build the index "
            "again, by `build(force=True)`."
        )
    if mmap and has_lists(index):
        # Else every lookup starts threads that read ahead.
        faiss.downcast_InvertedLists(index.invlists).prefetch_nthread = 0
    return index


def copied(file: BinaryIO, path: Path) -> None:
    """Copies an open file to a path."""
    with path.open("wb") as target:
        offset = 0
        # With its own offset: after a fork two processes share the file's.
        while part := os.pread(file.fileno(), 16 * 1024 * 1024, offset):
            target.write(part)
            offset += len(part)


@contextlib.contextmanager
def threads(n: int | None) -> Iterator[None]:
    """Limits the threads that Faiss starts from this one; None: it stays."""
    faiss = faiss_module()
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(n or before)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


@cache
def faiss_module() -> Any:
    """The module faiss, set up once."""
    faiss = optional_import(
        "faiss", purpose="FaissSearch", package="tensorflow_similarity[faiss]"
    )
    # Faiss 1.15 multiplies matrices only from 128,000 numbers a batch of queries on,
    # a limit for many cores: on two it trains codes 12 times as slowly as with this.
    # Before, and since, the limit is another quantity and below this.
    if faiss.cvar.distance_compute_blas_threshold > 10_000:
        limit = 800 * faiss.omp_get_max_threads()
        faiss.cvar.distance_compute_blas_threshold = min(limit, 128_000)
    if hasattr(os, "register_at_fork"):
        # The threads of GNU OpenMP do not survive a fork, and it waits for them.
        os.register_at_fork(after_in_child=lambda: faiss.omp_set_num_threads(1))
    return faiss
