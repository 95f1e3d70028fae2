"""Approximate search by a graph: NMSLIB's hierarchical navigable small world."""

import contextlib
import logging
import math
import os
import shutil
import sys
import tempfile
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import keras
import numpy as np

from tensorflow_similarity import distances
from tensorflow_similarity._core.optional import optional_import
from tensorflow_similarity._core.vectors import Vectors
from tensorflow_similarity.distances import Distance
from tensorflow_similarity.search.kernels import unit_rows
from tensorflow_similarity.search.search import Search

# Fewer floats than this are searched exactly: measured, one query over 31,000 x 64
# takes 0.1 ms that way, and it pays back a graph's build only after 35,000 queries.
_EXACT_FLOATS = 2_000_000
_MANY_ROWS = 200_000
_FILE = "graph.bin"
# The squares of shorter queries lose digits in float32.
_SHORT = 1e-15

_INDEX_PARAMS = {
    "M",
    "efConstruction",
    "indexThreadQty",
    "post",
    "delaunay_type",
    "maxM",
    "maxM0",
    "mult",
    "skip_optimized_index",
    "searchMethod",
}
_QUERY_PARAMS = {"efSearch", "ef"}


class _Graph:
    """A loaded NMSLIB index and the file that it came from.

    NMSLIB cannot save what it loaded (it writes an empty file), so the file is kept,
    in a folder of its own that goes when the graph does, and copied when asked for.
    """

    def __init__(self, index: Any, folder: str, n: int, ef: int):
        self.index = index
        self.file = Path(folder) / _FILE
        self.n = n
        self.default_ef = ef
        self._ef = 0
        self._lock = threading.Lock()
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)

    def set_ef(self, k: int) -> None:
        # Below k the answer is short; NMSLIB forgets the setting when it is loaded.
        ef = max(self.default_ef, k + k // 2)
        with self._lock:
            if ef != self._ef:
                self.index.setQueryTimeParams({"efSearch": ef})
                self._ef = ef


@keras.saving.register_keras_serializable(package="tensorflow_similarity")
class NMSLibSearch(Search):
    """HNSW graph for large indexes, exact search for small ones.

    Under 2,000,000 floats (31,000 rows of 64) rows are searched exactly: that is
    faster there, and never wrong. Beyond, `build` makes a graph of the rows; what is
    added later is searched exactly beside it until it is a quarter of the graph, and
    then a new graph is built. Recall@10 measured at the defaults: above 0.99 on
    100,000 x 64. Builds differ from run to run in NMSLIB itself, so recall can be
    relied on and exact neighbour lists cannot; `LinearSearch` is reproducible.

    If nmslib cannot be imported, a warning says so and every row is searched exactly.

    Args:
        distance: cosine, euclidean, squared_euclidean, manhattan or inner_product.
        dim: int, width of the embeddings.
        method: "hnsw", or "brute_force" for exact search at any size.
        space_params: None; NMSLIB's spaces for these distances have none.
        data_type: 0, dense rows.
        dtype: 0, float32.
        index_params: dict for the graph's build. Defaults to `M` 16, `efConstruction`
            100 (200 above 1,000,000 rows) and all cores: recall@10 of 0.998 on
            Fashion-MNIST at 60,000 x 64.
        query_params: dict, `efSearch`. Defaults to 80, from 200,000 rows on 160, and
            never below 1.5 k.

    Raises:
        ValueError: for a distance that NMSLIB cannot do, or unknown parameters.

    Reference:
        Malkov, Yashunin, "Efficient and Robust Approximate Nearest Neighbor Search
        Using Hierarchical Navigable Small World Graphs", TPAMI 2018.
    """

    default_name = "nmslib"

    # Cosine is the inner product of unit rows: equal queries, and it builds faster.
    # By class: a subclass of a user's own may compute something else.
    _SPACES: ClassVar[dict[type[Distance], str]] = {
        distances.CosineDistance: "negdotprod",
        distances.InnerProductSimilarity: "negdotprod",
        distances.EuclideanDistance: "l2",
        distances.SquaredEuclideanDistance: "l2",
        distances.ManhattanDistance: "l1",
    }

    def __init__(
        self,
        distance: str | Distance,
        dim: int,
        method: str = "hnsw",
        space_params: dict[str, Any] | None = None,
        data_type: int = 0,
        dtype: int = 0,
        index_params: dict[str, Any] | None = None,
        query_params: dict[str, Any] | None = None,
        name: str | None = None,
        verbose: int = 0,
        rescore: int | None = None,
    ):
        super().__init__(distance, dim, name, verbose, rescore)
        if type(self.distance) not in self._SPACES:
            raise ValueError(
                f"NMSLIB cannot search by {self.distance.name!r}. It can by "
                f"{sorted(kind.name for kind in self._SPACES)}; use search='linear' "
                "for the others."
            )
        if method not in ("hnsw", "brute_force"):
            raise ValueError(
                "`method` must be 'hnsw' or 'brute_force'. Received: "
                f"method={method!r}."
            )
        if space_params or data_type or dtype:
            raise ValueError(
                "`space_params`, `data_type` and `dtype` can only be None, 0 and 0: "
                f"dense float32 rows. Received: {space_params!r}, {data_type!r}, "
                f"{dtype!r}."
            )
        self._is_cosine = type(self.distance) is distances.CosineDistance
        self._is_euclidean = type(self.distance) is distances.EuclideanDistance
        self.method = method
        self.index_params = _checked("index_params", index_params, _INDEX_PARAMS)
        self.query_params = _checked("query_params", query_params, _QUERY_PARAMS)

    def _wants_structure(self, n_rows: int) -> bool:
        return self.method == "hnsw" and n_rows * self.dim >= _EXACT_FLOATS

    def _build(self, vectors: Vectors, rows: np.ndarray) -> Any:
        if self.method == "brute_force" or not (nmslib := _nmslib()):
            return None
        index = self._empty_index(nmslib)
        step = 65_536
        for i in range(0, len(rows), step):
            part = vectors.take(rows[i : i + step])
            numbers = np.arange(i, i + len(part), dtype=np.int32)
            index.addDataPointBatch(self._prepared(part), numbers)
        many = len(rows) > 1_000_000
        params = {
            "M": 16,
            "efConstruction": 200 if many else 100,
            "indexThreadQty": os.cpu_count() or 1,
            **self.index_params,
        }
        index.createIndex(params, print_progress=False)
        folder = tempfile.mkdtemp(prefix="tensorflow_similarity_")
        index.saveIndex(str(Path(folder) / _FILE), save_data=False)
        # The builder keeps a second copy of every row; a loaded index does not.
        del index
        return self._loaded(nmslib, folder, len(rows))

    def _lookup(
        self, structure: _Graph, queries: np.ndarray, k: int
    ) -> tuple[np.ndarray, np.ndarray]:
        structure.set_ef(k)
        queries, scale = self._scaled(queries)
        if len(queries) == 1:
            # Measured: a batch of one pays 20 microseconds for starting threads.
            ids, values = structure.index.knnQuery(queries[0], k=k)
            if len(ids) == k:
                return ids[None].astype(np.int64), self._in_unit(values[None] / scale)
            answers = [(ids, values)]
        else:
            threads = os.cpu_count() or 1
            answers = structure.index.knnQueryBatch(queries, k=k, num_threads=threads)
        positions = np.full((len(queries), k), -1, np.int64)
        distances = np.full((len(queries), k), np.inf, np.float32)
        for i, (ids, values) in enumerate(answers):
            positions[i, : len(ids)] = ids
            distances[i, : len(ids)] = values
        return positions, self._in_unit(distances / scale)

    def _save(self, structure: _Graph, path: Path) -> None:
        shutil.copyfile(structure.file, path / _FILE)

    def _load(self, path: Path, n_positions: int) -> Any:
        nmslib = _nmslib()
        if nmslib is None:
            return None
        folder = tempfile.mkdtemp(prefix="tensorflow_similarity_")
        shutil.copyfile(path / _FILE, Path(folder) / _FILE)
        return self._loaded(nmslib, folder, n_positions)

    def _loaded(self, nmslib: Any, folder: str, n: int) -> _Graph:
        index = self._empty_index(nmslib)
        index.loadIndex(str(Path(folder) / _FILE), load_data=False)
        given = self.query_params.get("efSearch", self.query_params.get("ef"))
        return _Graph(index, folder, n, given or (160 if n >= _MANY_ROWS else 80))

    def _empty_index(self, nmslib: Any) -> Any:
        return nmslib.init(
            method="hnsw",
            space=self._SPACES[type(self.distance)],
            data_type=nmslib.DataType.DENSE_VECTOR,
            dtype=nmslib.DistType.FLOAT,
        )

    def _prepared(self, rows: np.ndarray) -> np.ndarray:
        return unit_rows(rows) if self._is_cosine else rows

    def _scaled(self, queries: np.ndarray) -> tuple[np.ndarray, Any]:
        """Queries to ask the graph with, and what their answers are to be divided by.

        By cosine the graph's rows have length 1 and queries any: a query's length
        scales all its answers alike, which costs less than scaling the query first.
        """
        if not self._is_cosine:
            return queries, 1.0
        if len(queries) == 1:
            length = math.sqrt(np.vdot(queries, queries))
            if length > _SHORT:
                return queries, np.float32(length)
        lengths = np.sqrt(np.einsum("nd,nd->n", queries, queries))[:, None]
        if lengths.min(initial=1.0) > _SHORT:
            return queries, lengths
        return unit_rows(queries), 1.0

    def _in_unit(self, distances: np.ndarray) -> np.ndarray:
        """Distances in the unit of `self.distance`; NMSLIB's `l2` is squared."""
        if self._is_cosine:
            return np.maximum(distances + 1.0, 0.0)
        if self._is_euclidean:
            return np.sqrt(np.maximum(distances, 0.0))
        return distances

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "method": self.method,
            "index_params": dict(self.index_params),
            "query_params": dict(self.query_params),
        }


def _checked(
    name: str, given: dict[str, Any] | None, known: set[str]
) -> dict[str, Any]:
    given = dict(given or {})
    if unknown := sorted(set(given) - known):
        raise ValueError(
            f"`{name}` has no {unknown[0]!r}. The known ones are {sorted(known)}."
        )
    return given


_said_missing = False


def _nmslib() -> Any:
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
