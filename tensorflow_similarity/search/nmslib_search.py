"""Approximate search by graphs: NMSLIB's hierarchical navigable small world."""

import logging
import math
import os
from pathlib import Path
from typing import Any, ClassVar

import keras
import numpy as np

from tensorflow_similarity import distances
from tensorflow_similarity._core.vectors import Vectors
from tensorflow_similarity.distances import Distance
from tensorflow_similarity.search import nmslib_graph, nmslib_params
from tensorflow_similarity.search.kernels import unit_rows
from tensorflow_similarity.search.nmslib_graph import Graph
from tensorflow_similarity.search.own_rows import OwnRows
from tensorflow_similarity.search.search import Search

# Fewer floats than this are searched exactly: measured, one query over 31,000 x 64
# takes 0.1 ms that way, and it pays back a graph's build only after 35,000 queries.
_EXACT_FLOATS = 2_000_000
# Beyond so many rows the defaults search longer, and beyond many more build longer.
_MANY_ROWS = 200_000
_VERY_MANY_ROWS = 1_000_000
# The squares of shorter queries lose digits in float32.
_SHORT = 1e-15


@keras.saving.register_keras_serializable(package="tensorflow_similarity")
class NMSLibSearch(Search):
    """HNSW graph for large indexes, exact search for small ones.

    Under 2,000,000 floats (31,000 rows of 64) rows are searched exactly: that is
    faster there, and never wrong. So many rows become a graph; what is added later is
    searched exactly beside it until it is as long, and becomes a graph too. Graphs
    that are short beside those behind them are merged. Recall@10 measured at the
    defaults: above 0.99 on 100,000 x 64. Builds differ from run to run in NMSLIB
    itself, so recall can be relied on and exact neighbour lists cannot;
    `LinearSearch` is reproducible.

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
        query_params: dict, `efSearch`. Defaults to 80, from 200,000 rows on 160,
            beyond 1,000,000 200; never below 1.5 k.
        recall_target: float between 0 and 1, or None. With a number, `efSearch` is the
            least of 10, 20, 40, ... that finds this share of the 10 nearest of 200 of
            your own rows, measured when a graph is built and kept with it. Defaults to
            None: `query_params` hold.
        rescore: see `Search`. Defaults to None: NMSLIB's distances are exact already.

    Raises:
        ValueError: for a distance that NMSLIB cannot do, or parameters that it does
            not know.

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
        recall_target: float | None = None,
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
        self.index_params = nmslib_params.checked("index_params", index_params)
        self.query_params = nmslib_params.checked("query_params", query_params)
        self.recall_target = nmslib_params.checked_target(
            recall_target, self.query_params
        )

    def _wants_structure(self, n_rows: int) -> bool:
        return self.method == "hnsw" and n_rows * self.dim >= _EXACT_FLOATS

    def _build(self, vectors: Vectors, rows: np.ndarray) -> Graph | None:
        nmslib = nmslib_graph.nmslib_module()
        if self.method == "brute_force" or nmslib is None:
            return None
        index = self._empty_index(nmslib)
        step = 65_536
        for i in range(0, len(rows), step):
            part = vectors.take(rows[i : i + step])
            numbers = np.arange(i, i + len(part), dtype=np.int32)
            index.addDataPointBatch(self._prepared(part), numbers)
        params = {
            "M": 16,
            "efConstruction": 200 if len(rows) > _VERY_MANY_ROWS else 100,
            "indexThreadQty": os.cpu_count() or 1,
            **self.index_params,
        }
        empty = self._empty_index(nmslib)
        graph = nmslib_graph.built_graph(index, empty, params, self._ef(len(rows)))
        if self.recall_target is not None:
            self._reach(self.recall_target, graph, vectors, rows)
        return graph

    def _ef(self, n_rows: int) -> int:
        """The default `efSearch`, unless one was given."""
        given = self.query_params.get("efSearch", self.query_params.get("ef"))
        default = 80 if n_rows < _MANY_ROWS else 160
        return int(given or (200 if n_rows > _VERY_MANY_ROWS else default))

    def _reach(
        self, target: float, graph: Graph, vectors: Vectors, rows: np.ndarray
    ) -> None:
        """Sets the least `efSearch` of a ladder by which the recall is reached."""
        sample = OwnRows(self._kernel, vectors, rows)
        recall = 0.0
        for graph.ef in sample.ladder():
            positions, _ = self._lookup(graph, sample.queries, sample.k)
            recall = sample.recall(positions)
            if recall >= target:
                return
        logging.getLogger(__name__).warning(
            "`recall_target=%s` is not reached: %.4f at efSearch %d, the longest "
            "search tried. More links (`index_params={'M': 32}`) may reach it.",
            *(target, recall, graph.ef),
        )

    def _lookup(
        self, structure: Graph, queries: np.ndarray, k: int
    ) -> tuple[np.ndarray, np.ndarray]:
        queries, scale = self._scaled(queries)
        with structure.asked_for(k) as index:
            if len(queries) == 1:
                # Measured: a batch of one pays 20 microseconds for starting threads.
                answers = [index.knnQuery(queries[0], k=k)]
            else:
                threads = os.cpu_count() or 1
                answers = index.knnQueryBatch(queries, k=k, num_threads=threads)
        if len(answers) == 1 and len(answers[0][0]) == k:
            positions = answers[0][0][None].astype(np.int64)
            return positions, self._in_unit(answers[0][1][None] / scale)
        positions, values = _as_arrays(answers, k)
        return positions, self._in_unit(values / scale)

    def _save(self, structure: Graph, path: Path) -> None:
        structure.save(path)

    def _load(self, path: Path, n_positions: int) -> Graph | None:
        nmslib = nmslib_graph.nmslib_module()
        if nmslib is None:
            return None
        ef = None if self.recall_target is not None else self._ef(n_positions)
        return nmslib_graph.loaded_graph(self._empty_index(nmslib), path, ef)

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
            "recall_target": self.recall_target,
        }


def _as_arrays(
    answers: list[tuple[np.ndarray, np.ndarray]], k: int
) -> tuple[np.ndarray, np.ndarray]:
    """NMSLIB's answers, one for each query, as (n, k); -1 and inf where they end."""
    shape = (len(answers), k)
    if sum(len(ids) for ids, _ in answers) == shape[0] * k and answers:
        ids = np.concatenate([ids for ids, _ in answers], dtype=np.int64)
        values = np.concatenate([values for _, values in answers])
        return ids.reshape(shape), values.reshape(shape)
    positions = np.full(shape, -1, np.int64)
    distances = np.full(shape, np.inf, np.float32)
    for i, (ids, values) in enumerate(answers):
        positions[i, : len(ids)] = ids
        distances[i, : len(ids)] = values
    return positions, distances
