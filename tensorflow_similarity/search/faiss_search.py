"""Approximate search by Faiss: lists of near rows, rows whole or compressed."""

import sys
from pathlib import Path
from typing import Any, ClassVar

import keras
import numpy as np

from tensorflow_similarity import distances
from tensorflow_similarity._core import doors
from tensorflow_similarity._core.vectors import Vectors
from tensorflow_similarity.distances import Distance
from tensorflow_similarity.search import faiss_index, fitting
from tensorflow_similarity.search.faiss_index import (
    Structure,
    copied,
    faiss_module,
    has_lists,
    threads,
)
from tensorflow_similarity.search.kernels import unit_rows
from tensorflow_similarity.search.search import Search

# Rows that Faiss wants for each centroid, and that training takes: more change little.
_ROWS_PER_CENTROID = 39
_TRAINED_PER_CENTROID = 64
_FILE = "index.faiss"
_ZEROS_FILE = "zeros.npy"

_ALGOS = {
    "flat": "flat",
    "hnsw": "hnsw",
    "ivfflat": "ivfflat",
    "ivfsq8": "ivfsq8",
    "ivfpq": "ivfpq",
}
# Candidates to measure, in k, where none are given. What Faiss multiplies out in
# `flat` has lost the digits of small distances; the others' are compressed.
_RESCORE = {"flat": 1, "ivfsq8": 2, "ivfpq": 10}
# Fewer products of numbers in a round of training are done by one thread: measured on
# two busy cores, waiting for each other takes two threads 18 times as long.
_FEW_PRODUCTS = 1_000_000_000
_GRAPH_LINKS = 16
_EF_CONSTRUCTION = 100
_EF_SEARCH = 80


@keras.saving.register_keras_serializable(package="tensorflow_similarity")
class FaissSearch(Search):
    """Faiss: small in memory, quick to build, read from disk as it is needed.

    Under 2,000,000 floats rows are searched exactly. Beyond, rows are put into lists
    of near ones and a query looks through the lists nearest to it. The structure
    trains itself on the rows that it is built of and fits itself to them: about
    4 sqrt(n) lists, and as many of them probed as hold 99.5 % of the 10 nearest of
    256 of the rows. The same rows give the same structure.

    | `algo` | bytes a row, beside the vectors | answers |
    | --- | --- | --- |
    | "ivfpq" | m * nbits / 8 + 8 | 10 k candidates by codes, measured exactly |
    | "ivfsq8" | dim + 8 | 2 k candidates in 8 bits a number, measured exactly |
    | "ivfflat" | 4 dim + 8 | exact within the lists probed |
    | "hnsw" | 4 dim + 140 | a graph, as `NMSLibSearch` |
    | "flat" | 4 dim | all rows compared: `LinearSearch` in Faiss |

    In a process forked off one in which Faiss has answered, it answers on one core:
    its threads do not survive the fork, and it would wait for them for ever.

    Args:
        distance: cosine, inner_product, euclidean or squared_euclidean; "flat" and
            "hnsw" also manhattan.
        dim: int, width of the embeddings.
        algo: see above; "ivf-pq", "ivf-sq8" and "ivf-flat" are the same. Defaults to
            "ivfpq", the smallest; below 39 * 2 ** nbits rows it is "ivfflat".
        m: int, for "ivfpq" the parts that a row is cut into; it must divide `dim`.
            Defaults to the largest divisor of `dim` up to dim / 4.
        nbits: int from 1 to 16, for "ivfpq" the bits of a part's code. Defaults to 8.
        nlist: int, how many lists. Defaults to 4 sqrt(n), and never more than n / 39:
            fewer rows a list cannot be trained well.
        nprobe: int, how many lists a query looks through, more if k needs it. Defaults
            to what was measured when the structure was built, see above.
        rescore: see `Search`. Defaults to 10 for "ivfpq", 2 for "ivfsq8", 1 for "flat",
            else None.
        mmap: whether a structure that is loaded stays in its file and is read as
            lookups need it; "ivf..." only, and not on Windows. Defaults to False.

    Raises:
        ImportError: if Faiss is missing.
        ValueError: for a distance that `algo` cannot do, or unknown parameters.

    Reference:
        Douze et al., "The Faiss library", 2024.
        Jegou, Douze, Schmid, "Product Quantization for Nearest Neighbor Search",
        TPAMI 2011.
    """

    default_name = "faiss"

    # Cosine is half the squared distance of unit rows: lists and codes trained by it
    # find more than by the inner product (measured: "ivfpq" 0.75 against 0.62), and
    # small distances keep their digits.
    _METRICS: ClassVar[dict[type[Distance], str]] = {
        distances.CosineDistance: "METRIC_L2",
        distances.InnerProductSimilarity: "METRIC_INNER_PRODUCT",
        distances.EuclideanDistance: "METRIC_L2",
        distances.SquaredEuclideanDistance: "METRIC_L2",
        distances.ManhattanDistance: "METRIC_L1",
    }

    def __init__(
        self,
        distance: str | Distance,
        dim: int,
        algo: str = "ivfpq",
        m: int | None = None,
        nbits: int = 8,
        nlist: int | None = None,
        nprobe: int | None = None,
        name: str | None = None,
        verbose: int = 0,
        rescore: int | None = None,
        mmap: bool = False,
    ):
        super().__init__(distance, dim, name, verbose, rescore)
        faiss_module()
        algo = algo.replace("-", "") if isinstance(algo, str) else algo
        self.algo = doors.known(algo, "algo", _ALGOS)
        self._check_distance()
        self.m = fitting.whole_or_none("m", m)
        if self.m and self.dim % self.m:
            divisors = [i for i in range(1, self.dim + 1) if self.dim % i == 0]
            raise ValueError(
                f"`m` must divide the width of the embeddings, {self.dim}, into parts: "
                f"one of {divisors}. Received: m={m!r}."
            )
        self.nbits = fitting.whole("nbits", nbits, most=16)
        self.nlist = fitting.whole_or_none("nlist", nlist)
        self.nprobe = fitting.whole_or_none("nprobe", nprobe)
        if self.rescore is None:
            self.rescore = _RESCORE.get(self.algo)
        self.mmap = bool(mmap)
        if self.mmap and (not self.algo.startswith("ivf") or sys.platform == "win32"):
            raise ValueError(
                "`mmap=True` needs lists: algo 'ivfflat', 'ivfsq8' or 'ivfpq', and a "
                f"system other than Windows. Received: algo={self.algo!r}."
            )

    def _check_distance(self) -> None:
        kind = type(self.distance)
        # The lists of Faiss are trained by squared distances or inner products.
        in_lists = self.algo.startswith("ivf")
        known = {
            known.name: known
            for known in self._METRICS
            if not (in_lists and known is distances.ManhattanDistance)
        }
        if kind in known.values():
            return
        cure = "use search='linear' for the others"
        if kind is distances.ManhattanDistance:
            cure = "algo 'hnsw' and 'flat' can by 'manhattan' too"
        raise ValueError(
            f"Faiss cannot search by {self.distance.name!r} with algo {self.algo!r}. "
            f"It can by {sorted(known)}; {cure}."
        )

    def train_index(self, samples: Any, **kwargs: Any) -> None:
        """Does nothing: a structure trains itself when it is built.

        For programs that were written for a search which had to be trained first.
        """

    def _identity(self) -> dict[str, Any]:
        return {**super()._identity(), "algo": self.algo}

    def _wants_structure(self, n_rows: int) -> bool:
        return n_rows * self.dim >= fitting.EXACT_FLOATS

    # Building.

    def _build(self, vectors: Vectors, rows: np.ndarray) -> Any:
        index = self._empty_index(len(rows))
        if not index.is_trained:
            sample = rows[fitting.spaced(len(rows), self._n_trained(index))]
            prepared = self._prepared(vectors.take(sample))[0]
            few = prepared.size * index.nlist < _FEW_PRODUCTS
            with threads(1 if few else None):
                index.train(prepared)
        zeros = [np.empty(0, np.int64)]
        for i in range(0, len(rows), fitting.STEP):
            part, without = self._prepared(vectors.take(rows[i : i + fitting.STEP]))
            index.add(part)
            zeros.append(np.flatnonzero(without) + i)
        positions = np.concatenate(zeros)
        structure = Structure(index, positions if len(positions) else None)
        if has_lists(index):
            index.nprobe = min(self.nprobe or index.nlist, index.nlist)
            if self.nprobe is None:
                index.nprobe = self._fitting_nprobe(structure, vectors, rows)
        return structure

    def _empty_index(self, n_rows: int) -> Any:
        faiss, dim = faiss_module(), self.dim
        metric = getattr(faiss, self._METRICS[type(self.distance)])
        if self.algo == "flat":
            return faiss.IndexFlat(dim, metric)
        if self.algo == "hnsw":
            index = faiss.IndexHNSWFlat(dim, _GRAPH_LINKS, metric)
            index.hnsw.efConstruction = _EF_CONSTRUCTION
            index.hnsw.efSearch = _EF_SEARCH
            return index
        nlist = self.nlist or int(4 * n_rows**0.5)
        nlist = max(1, min(nlist, n_rows // _ROWS_PER_CENTROID))
        coarse = faiss.IndexFlat(dim, metric)
        if self.algo == "ivfsq8":
            bits = faiss.ScalarQuantizer.QT_8bit
            index = faiss.IndexIVFScalarQuantizer(coarse, dim, nlist, bits, metric)
        elif self.algo == "ivfpq" and n_rows >= _ROWS_PER_CENTROID << self.nbits:
            m = self.m or _parts(dim)
            index = faiss.IndexIVFPQ(coarse, dim, nlist, m, self.nbits, metric)
            index.pq.cp.min_points_per_centroid = 1
        else:
            index = faiss.IndexIVFFlat(coarse, dim, nlist, metric)
        # Fewer make Faiss print a warning.
        index.cp.min_points_per_centroid = 1
        return index

    def _n_trained(self, index: Any) -> int:
        n = _TRAINED_PER_CENTROID * index.nlist
        codes = _TRAINED_PER_CENTROID << self.nbits
        return max(n, 4 * codes if self.algo == "ivfpq" else 0)

    def _fitting_nprobe(
        self, structure: Structure, vectors: Vectors, rows: np.ndarray
    ) -> int:
        """How many lists to probe so that the neighbours are found."""
        index = structure.index
        sample = rows[fitting.spaced(len(rows))]
        queries, n = self._prepared(vectors.take(sample))[0], len(sample)
        k = min(fitting.N_NEIGHBOURS + 1, len(rows))
        # In all lists, in float32 or codes alike: what probing fewer can lose.
        farthest = self._searched(index, queries, k, index.nlist)[0][:, -1:]
        sign = -1 if index.metric_type == faiss_module().METRIC_INNER_PRODUCT else 1

        def is_enough(nprobe: int) -> bool:
            values, positions = self._searched(index, queries, k, nprobe)
            hits = (positions >= 0) & (sign * values <= sign * farthest)
            # A row is its own neighbour, found in any case.
            return bool(hits.sum() - n >= fitting.TARGET * n * (k - 1))

        return fitting.least(index.nlist, is_enough)

    # Lookups.

    def _lookup(
        self, structure: Structure, queries: np.ndarray, k: int
    ) -> tuple[np.ndarray, np.ndarray]:
        index, nprobe = structure.index, 0
        if has_lists(index):
            nprobe = fitting.n_searched(index.nprobe, index.nlist, index.ntotal, k)
        prepared, without = self._prepared(queries)
        values, positions = self._searched(index, prepared, k, nprobe)
        found = self._in_unit(values)
        if without.any():
            found[without] = 1.0
        if structure.zeros is not None:
            found[np.isin(positions, structure.zeros)] = 1.0
            order = np.argsort(found, axis=1, kind="stable")
            found = np.take_along_axis(found, order, 1)
            positions = np.take_along_axis(positions, order, 1)
        found[positions < 0] = np.inf
        return positions, found

    def _searched(
        self, index: Any, prepared: np.ndarray, k: int, nprobe: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Faiss' own answer: values and positions, -1 where too few came."""
        faiss, parameters = faiss_module(), None
        if nprobe:
            # Of a call's own: threads with another k look up in the same index.
            kind = faiss.SearchParametersIVF
            if isinstance(index, faiss.IndexIVFPQ):
                kind = faiss.IVFPQSearchParameters
            parameters = kind(nprobe=nprobe)
        elif isinstance(index, faiss.IndexHNSW):
            ef = max(_EF_SEARCH, k + k // 2)
            parameters = faiss.SearchParametersHNSW(efSearch=ef)
        found: tuple[np.ndarray, np.ndarray]
        found = index.search(prepared, k, params=parameters)
        return found

    def _prepared(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rows as Faiss gets them, and which of them have no direction, by cosine."""
        if type(self.distance) is not distances.CosineDistance:
            return rows, np.zeros(len(rows), bool)
        rows = unit_rows(rows)
        without: np.ndarray = ~np.any(rows, axis=1)
        # At distance 1 from every row; so far out no row of cosine above 0 is behind.
        rows[without, 0] = 1 + 2**0.5
        return rows, without

    def _in_unit(self, values: np.ndarray) -> np.ndarray:
        """Distances in the unit of `self.distance`; Faiss answers squared ones."""
        kind = type(self.distance)
        if kind is distances.InnerProductSimilarity:
            return -values
        np.maximum(values, 0.0, out=values)
        if kind is distances.CosineDistance:
            values /= 2
        elif kind is distances.EuclideanDistance:
            np.sqrt(values, out=values)
        return values

    # Files.

    def _save(self, structure: Structure, path: Path) -> None:
        if structure.file is None:
            faiss_module().write_index(structure.index, str(path / _FILE))
        else:
            copied(structure.file, path / _FILE)
        if structure.zeros is not None:
            np.save(path / _ZEROS_FILE, structure.zeros)

    def _load(self, path: Path, n_positions: int) -> Any:
        index, zeros = (
            faiss_index.read(path / _FILE, n_positions, self.dim, self.mmap),
            None,
        )
        if (path / _ZEROS_FILE).is_file():
            zeros = np.load(path / _ZEROS_FILE, allow_pickle=False)
        if has_lists(index) and self.nprobe is not None:
            index.nprobe = min(self.nprobe, index.nlist)
        # Held open it can be copied when its name has gone.
        file = (path / _FILE).open("rb") if self.mmap else None
        return Structure(index, zeros, file)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "algo": self.algo,
            "m": self.m,
            "nbits": self.nbits,
            "nlist": self.nlist,
            "nprobe": self.nprobe,
            "mmap": self.mmap,
        }


def _parts(dim: int) -> int:
    """The largest divisor of the width that makes parts of four numbers or more."""
    return max(i for i in range(1, max(dim // 4, 1) + 1) if dim % i == 0)
