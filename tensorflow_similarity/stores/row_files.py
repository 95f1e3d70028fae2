"""The files beside a store's log: vectors by row, and user data one behind the other.

Both only ever grow, and are written before the log says so: what stands behind the
length that the log names does not count.
"""

import os
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np

from tensorflow_similarity._core.files import damaged
from tensorflow_similarity._core.items import decode, encode
from tensorflow_similarity._core.vectors import Block, MappedBlock, rows_per_block

# An item: checksum of place, length and content; length; content.
_HEADER = struct.Struct("<IQ")
_PLACE = struct.Struct("<QQ")
# Most items come with their header in one reading.
_AT_ONCE = 4096
# User data are written in pieces of this size.
_PIECE = 4 * 1024 * 1024


class GrowingFile:
    """A file that is written behind its present end.

    Args:
        file: where it is.
        writable: whether to open it for writing.
        new: whether to begin it, in place of what a writing that failed left there.
    """

    def __init__(self, file: Path, writable: bool, new: bool = False):
        self.file = file
        self.number = -1
        flags = os.O_RDWR if writable else os.O_RDONLY
        if new:
            flags |= os.O_CREAT | os.O_TRUNC
        self.number = os.open(file, flags, 0o666)

    def __del__(self) -> None:
        # Facts that are still held may read from it, so it closes with the last one.
        if self.number >= 0:
            os.close(self.number)

    @property
    def size(self) -> int:
        return os.fstat(self.number).st_size

    def write(self, content: Any, at: int) -> None:
        """Writes all of it; whatever fails is for the caller to cut off."""
        view = memoryview(content)
        while len(view):
            try:
                written = os.pwrite(self.number, view, at)
            except OSError as error:
                text = f"{error.strerror}; nothing was changed"
                raise type(error)(error.errno, text, str(self.file)) from error
            view, at = view[written:], at + written

    def read(self, n: int, at: int) -> bytes:
        """At most n bytes."""
        return os.pread(self.number, n, at)

    def cut(self, size: int) -> None:
        os.ftruncate(self.number, size)

    def sync(self) -> None:
        os.fsync(self.number)


class VectorFile(GrowingFile):
    """Rows of float32, each at its number."""

    def write_rows(self, rows: np.ndarray, first: int) -> None:
        if rows.size:
            content = np.ascontiguousarray(rows).data.cast("B")
            self.write(content, first * 4 * rows.shape[1])

    def blocks(self, first: int, checksums: Sequence[int], dim: int) -> list[Any]:
        """Full blocks from number `first` on, in one mapping, checked when used."""
        return [
            MappedBlock(self.file, offset, mapped, checksum)
            for (offset, mapped), checksum in zip(
                self._mapped(first, len(checksums), dim), checksums, strict=True
            )
        ]

    def take_over(self, first: int, parts: Sequence[Block], dim: int) -> list[Any]:
        """Blocks that were in memory, and have just been written, in the file."""
        height = rows_per_block(dim)
        return [
            MappedBlock(
                self.file,
                offset,
                mapped,
                part.checksum(height),
                part.token,
                part.squares,
            )
            for (offset, mapped), part in zip(
                self._mapped(first, len(parts), dim), parts, strict=True
            )
        ]

    def gather(self, parts: Sequence[Any], dim: int) -> None:
        """Puts the first blocks into one mapping."""
        for (_, mapped), part in zip(
            self._mapped(0, len(parts), dim), parts, strict=True
        ):
            part.move(mapped)

    def _mapped(self, first: int, n: int, dim: int) -> Iterator[tuple[int, np.ndarray]]:
        if not n:
            return
        height = rows_per_block(dim)
        start, step = first * height * 4 * dim, height * 4 * dim
        everything = np.memmap(
            self.file, np.float32, "r", start, (n, height, dim)
        ).view(np.ndarray)
        for i in range(n):
            yield start + i * step, everything[i]

    def tail(self, n_rows: int, checksum: int, dim: int) -> Block:
        """The last block, which is not full, in memory.

        Raises:
            ValueError: if it is not as it was written.
        """
        height = rows_per_block(dim)
        n, start = n_rows % height, n_rows // height * height * 4 * dim
        content = self.read(n * 4 * dim, start)
        if len(content) < n * 4 * dim or zlib.crc32(content) != checksum:
            raise damaged(
                self.file.parent, f"the last rows of {self.file.name} are not whole"
            )
        return Block.of(np.frombuffer(content, np.float32).reshape(n, dim))


class DataFile(GrowingFile):
    """Items of user data, each with its length and checksum."""

    def append(self, items: Iterable[Any], n: int, at: int) -> tuple[np.ndarray, int]:
        """Writes n items from `at` on.

        Returns:
            Where each stands, -1 for None, and where they end.
        """
        offsets = np.full(n, -1)
        piece, end = bytearray(), at
        for i, item in enumerate(items):
            if item is None:
                continue
            content = encode(item)
            offsets[i] = end
            piece += _HEADER.pack(_checksum(end, content), len(content))
            piece += content
            end += _HEADER.size + len(content)
            if len(piece) >= _PIECE:
                self.write(piece, end - len(piece))
                piece = bytearray()
        self.write(piece, end - len(piece))
        return offsets, end

    def item(self, at: int) -> Any:
        """The item that stands there.

        Raises:
            ValueError: if it is not as it was written.
        """
        found = self.read(_AT_ONCE, at)
        if len(found) >= _HEADER.size:
            checksum, length = _HEADER.unpack_from(found)
            end = _HEADER.size + length
            if end > len(found) and at + end <= self.size:
                found += self.read(end - len(found), at + len(found))
            content = found[_HEADER.size : end]
            if len(content) == length and _checksum(at, content) == checksum:
                return decode(content)
        raise damaged(
            self.file.parent,
            f"the user data at byte {at} of {self.file.name} are not as they were "
            "written",
        )


def _checksum(at: int, content: bytes) -> int:
    return zlib.crc32(content, zlib.crc32(_PLACE.pack(at, len(content))))


class StoredItems(Sequence[Any]):
    """User data of all rows, each read when it is looked at.

    Args:
        offsets: where each stands, -1 for None.
    """

    def __init__(self, file: DataFile, offsets: np.ndarray):
        self._file = file
        self._offsets = offsets

    def __len__(self) -> int:
        return len(self._offsets)

    @overload
    def __getitem__(self, row: int) -> Any: ...
    @overload
    def __getitem__(self, row: slice) -> list[Any]: ...
    def __getitem__(self, row: int | slice) -> Any:
        if isinstance(row, slice):
            return [self._at(offset) for offset in self._offsets[row].tolist()]
        return self._at(int(self._offsets[row]))

    def _at(self, offset: int) -> Any:
        return None if offset < 0 else self._file.item(offset)
