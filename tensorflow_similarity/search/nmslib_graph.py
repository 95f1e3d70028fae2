"""One graph of NMSLIB, its file, and the import of the module."""

import contextlib
import json
import logging
import os
import shutil
import sys
import tempfile
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from tensorflow_similarity._core.optional import optional_import

_FILE = "graph.bin"
_FACTS = "graph.json"


class Graph:
    """A loaded NMSLIB index and the file that it came from.

    NMSLIB cannot save what it loaded (it writes an empty file), so the file is held
    open and copied when asked for. Held open, it may be removed or replaced, and it
    takes no place on the disk after this process, however that ends.

    Args:
        index: an NMSLIB index made by `init`, empty.
        path: the file to load; it is not needed afterwards.
        ef: neighbours that a query keeps in sight, NMSLIB's `efSearch`.
    """

    def __init__(self, index: Any, path: Path, ef: int):
        self._held = _held(path)
        weakref.finalize(self, self._held.close)
        try:
            index.loadIndex(str(path), load_data=False)
        except RuntimeError as error:
            raise ValueError(
                f"{str(path)!r} is not a graph of NMSLIB. Build the index again, by "
                f"`build(force=True)`. ({error})"
            ) from error
        self.index = index
        self.ef = ef
        self._stamp = _stamp(self._held)
        self._ef = 0
        self._n_inside = 0
        self._lock = threading.Lock()
        _graphs.add(self)

    def asked_for(self, k: int) -> "_Inside":
        """In a `with`: the index, set to answer k neighbours to a query."""
        # Below k the answer is short; NMSLIB forgets the setting when it is loaded.
        ef = max(self.ef, k + k // 2)
        with self._lock:
            # Never lower under the feet of another thread, whose k may be larger.
            if ef > self._ef or (ef < self._ef and not self._n_inside):
                self.index.setQueryTimeParams({"efSearch": ef})
                self._ef = ef
            self._n_inside += 1
        return _Inside(self)

    def leave(self) -> None:
        """One lookup less is inside the graph."""
        with self._lock:
            self._n_inside -= 1

    def save(self, folder: Path) -> None:
        """Copies the file into a folder."""
        if _stamp(self._held) != self._stamp:
            raise OSError(
                "The file of a graph was written into since it was loaded, so that it "
                "cannot be copied. Build the index again, by `build(force=True)`."
            )
        with self._lock, (folder / _FILE).open("wb") as target:
            offset = 0
            # With its own offset: after a fork two processes share the file's.
            while part := _read(self._held, offset):
                target.write(part)
                offset += len(part)
        facts = json.dumps({"efSearch": self.ef})
        (folder / _FACTS).write_text(facts, encoding="utf-8")


class _Inside:
    """A lookup within a graph: `contextlib` would cost it five microseconds more."""

    __slots__ = ("_graph",)

    def __init__(self, graph: Graph):
        self._graph = graph

    def __enter__(self) -> Any:
        return self._graph.index

    def __exit__(self, *error: object) -> None:
        self._graph.leave()


def built_graph(index: Any, empty: Any, params: dict[str, Any], ef: int) -> Graph:
    """The graph over the rows that were added to `index`, loaded into `empty`.

    The builder keeps a second copy of every row; a loaded index does not.
    """
    index.createIndex(params, print_progress=False)
    with tempfile.TemporaryDirectory(prefix="tensorflow_similarity_") as folder:
        path = Path(folder) / _FILE
        index.saveIndex(str(path), save_data=False)
        return Graph(empty, path, ef)


def loaded_graph(empty: Any, folder: Path, ef: int | None) -> Graph:
    """The graph that `Graph.save` wrote; `ef` None: as it was."""
    facts = json.loads((folder / _FACTS).read_text(encoding="utf-8"))
    return Graph(empty, folder / _FILE, ef or int(facts["efSearch"]))


_graphs: "weakref.WeakSet[Graph]" = weakref.WeakSet()


def _forked() -> None:
    """In a child of a fork: no thread of the parent's is inside a graph here."""
    for graph in list(_graphs):
        graph._lock = threading.Lock()
        graph._n_inside = 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


def _held(path: Path) -> BinaryIO:
    """The file's content, whatever becomes of the name."""
    source = path.open("rb")
    if os.name != "nt":
        return source
    # Windows would keep others from replacing a file that is open.
    copy = tempfile.TemporaryFile(prefix="tensorflow_similarity_")
    with source:
        shutil.copyfileobj(source, copy)
    copy.flush()
    return copy


def _read(file: BinaryIO, offset: int, n_bytes: int = 16 * 1024 * 1024) -> bytes:
    if hasattr(os, "pread"):
        return os.pread(file.fileno(), n_bytes, offset)
    file.seek(offset)
    return file.read(n_bytes)


def _stamp(file: BinaryIO) -> tuple[int, int]:
    stat = os.fstat(file.fileno())
    return stat.st_size, stat.st_mtime_ns


_said_missing = False


def nmslib_module() -> Any:
    """The module nmslib; None, said once, if it cannot be imported."""
    global _said_missing
    try:
        with _quiet_stderr():
            return optional_import("nmslib", purpose="Approximate search")
    except ImportError as error:
        if not _said_missing:
            logging.getLogger(__name__).warning(
                "%s Until then every row is searched exactly.", error
            )
            _said_missing = True
        return None


@contextlib.contextmanager
def _quiet_stderr() -> Iterator[None]:
    """Drops what the compiled module prints when it loads: a note on CPU features."""
    if "nmslib" in sys.modules:
        yield
        return
    saved = os.dup(2)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
