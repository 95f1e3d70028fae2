"""Approximate search by ScaNN: leaves of near rows, scanned by codes in registers."""

import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import keras
import numpy as np

from tensorflow_similarity import distances
from tensorflow_similarity._core.vectors import Vectors
from tensorflow_similarity.distances import Distance
from tensorflow_similarity.search import fitting
from tensorflow_similarity.search.kernels import unit_rows
from tensorflow_similarity.search.scann_module import quiet, scann_module
from tensorflow_similarity.search.search import Search

# Fewer are searched exactly. With few rows a leaf ScaNN loses neighbours (measured:
# recall 0.79 at 10,000 rows), and below this the exact search is fast.
_LEAST_ROWS = 50_000
# A structure of fewer rows, built by force, has no leaves and no codes.
_LEAST_FOR_LEAVES = 10_000
_TRAINED_PER_LEAF = 128
# Candidates that ScaNN measures: as many of these as the codes need, to find this share
# of the neighbours in all leaves.
_REORDER, _MOST_REORDER = 100, 3200
_CODES_TARGET = 0.9975
_LEAST_SEARCHED = 8
# Candidates, in k, that are measured by the layer where ScaNN measures none itself.
_RESCORE = 30
_FACTS = "structure.json"
_DOCIDS = "scann_docids.pkl"


@dataclass(frozen=True, eq=False)
class _Structure:
    """A searcher of ScaNN over fixed rows.

    Args:
        searcher: it knows the rows by their positions, no ids.
        n_rows: how many rows.
        n_leaves: leaves that the rows are put into; 0: none, all are compared.
        n_searched: how many of them a query looks through.
        n_measured: candidates that ScaNN measures for 10 neighbours; 0: none.
    """

    searcher: Any
    n_rows: int
    n_leaves: int
    n_searched: int
    n_measured: int


@keras.saving.register_keras_serializable(package="tensorflow_similarity")
class ScaNNSearch(Search):
    """ScaNN: the fastest for 500,000 rows and more, on Linux.

    Under 50,000 rows, and under 2,000,000 floats, rows are searched exactly. Beyond,
    rows are put into about 2 sqrt(n) leaves of near ones, a query scans the codes in
    the leaves nearest to it, 4 bits for 2 numbers, and the best are measured. It looks
    through twice as many leaves as find 99.5 % of the 10 nearest of 256 of your rows,
    measured when the structure is built. Builds differ a little from run to run in
    ScaNN itself, so recall can be relied on and exact neighbour lists cannot.

    Needs scann-core, which has wheels for Linux only. The package scann is imported by
    the same name: install one of the two. Files hold arrays and no pickle. Rows of
    about equal length suit it best, as by cosine; with others it measures many more.

    Args:
        distance: cosine, inner_product, euclidean or squared_euclidean.
        dim: int, width of the embeddings.
        n_leaves: int. Defaults to 2 sqrt(n).
        leaves_to_search: int, more if k needs it. Defaults to what was measured when
            the structure was built, see above.
        reorder: int, how many candidates ScaNN measures to give 10 neighbours, and
            for more neighbours more; it keeps a copy of the rows for that. 0: none and
            no copy, dim / 4 + 8 bytes a row in place of 4.25 dim + 8. Defaults to what
            was measured, 100 to 3,200.
        rescore: see `Search`. Defaults to 30 with `reorder=0`, else to 1 by euclidean
            and squared_euclidean and None by the others.

    Raises:
        ImportError: if ScaNN is missing.
        ValueError: for a distance that ScaNN cannot do, or unknown parameters.

    Reference:
        Guo et al., "Accelerating Large-Scale Inference with Anisotropic Vector
        Quantization", ICML 2020.
    """

    default_name = "scann"

    _MEASURES: ClassVar[dict[type[Distance], str]] = {
        distances.CosineDistance: "dot_product",
        distances.InnerProductSimilarity: "dot_product",
        distances.EuclideanDistance: "squared_l2",
        distances.SquaredEuclideanDistance: "squared_l2",
    }

    def __init__(
        self,
        distance: str | Distance,
        dim: int,
        n_leaves: int | None = None,
        leaves_to_search: int | None = None,
        reorder: int | None = None,
        name: str | None = None,
        verbose: int = 0,
        rescore: int | None = None,
    ):
        super().__init__(distance, dim, name, verbose, rescore)
        if type(self.distance) not in self._MEASURES:
            raise ValueError(
                f"ScaNN cannot search by {self.distance.name!r}. It can by "
                f"{sorted(kind.name for kind in self._MEASURES)}; use search='linear' "
                "for the others."
            )
        scann_module()
        self.n_leaves = fitting.whole_or_none("n_leaves", n_leaves)
        self.leaves_to_search = fitting.whole_or_none(
            "leaves_to_search", leaves_to_search
        )
        self.reorder = fitting.whole_or_none("reorder", reorder, least=0)
        # By inner products squared distances lose the digits of small ones.
        measured = None if self._is_by_product else 1
        if self.rescore is None:
            self.rescore = _RESCORE if self.reorder == 0 else measured

    @property
    def _is_by_product(self) -> bool:
        return self._MEASURES[type(self.distance)] == "dot_product"

    def _identity(self) -> dict[str, Any]:
        return {**super()._identity(), "with rows": self.reorder != 0}

    def _wants_structure(self, n_rows: int) -> bool:
        return n_rows >= _LEAST_ROWS and n_rows * self.dim >= fitting.EXACT_FLOATS

    # Building.

    def _build(self, vectors: Vectors, rows: np.ndarray) -> Any:
        prepared = np.empty((len(rows), self.dim), np.float32)
        for i in range(0, len(rows), fitting.STEP):
            part = slice(i, i + fitting.STEP)
            prepared[part] = self._prepared(vectors.take(rows[part]))
        measure = self._MEASURES[type(self.distance)]
        # Every call says how many neighbours it wants; this number is not used.
        builder = scann_module().builder(prepared, fitting.N_NEIGHBOURS, measure)
        builder = builder.set_n_training_threads(os.cpu_count() or 1)
        n_leaves, n_measured = 0, 0
        if len(rows) < _LEAST_FOR_LEAVES:
            builder = builder.score_brute_force()
        else:
            n_leaves = min(self.n_leaves or int(2 * len(rows) ** 0.5), len(rows))
            n_measured = _REORDER if self.reorder is None else self.reorder
            builder = self._with_leaves(builder, prepared, n_leaves)
            builder = builder.reorder(n_measured) if n_measured else builder
        with quiet():
            searcher = builder.build()
        structure = _Structure(searcher, len(rows), n_leaves, n_leaves, n_measured)
        return self._fitted(structure, prepared) if n_leaves else structure

    def _with_leaves(self, builder: Any, prepared: np.ndarray, n_leaves: int) -> Any:
        by_product = self._is_by_product
        if not by_product and fitting.are_of_one_length(prepared):
            # Then codes for inner products find more (measured on Fashion-MNIST: 0.98
            # against 0.81 with 100 candidates), else fewer.
            builder, by_product = builder.l2_as_dot_product(), True
        builder = builder.tree(
            num_leaves=n_leaves,
            num_leaves_to_search=n_leaves,
            training_sample_size=min(len(prepared), _TRAINED_PER_LEAF * n_leaves),
        )
        # The loss that favours the direction of the row is one for inner products.
        threshold = 0.2 if by_product else float("nan")
        return builder.score_ah(
            min(2, self.dim), anisotropic_quantization_threshold=threshold
        )

    def _fitted(self, structure: _Structure, prepared: np.ndarray) -> _Structure:
        """The structure, measuring and searching what the rows need, and no more."""
        k = fitting.N_NEIGHBOURS + 1
        own = fitting.spaced(len(prepared))[:, None]
        queries = prepared[own[:, 0]]
        true = _nearest(prepared, queries, k, self._is_by_product)
        # A row is its own neighbour, found or not: it does not count.
        others, asked = true != own, k * (self.rescore or 1)

        def share() -> float:
            found, _ = self._searched(structure, queries, asked, structure.n_searched)
            hits = (found[:, :, None] == true[:, None]) & others[:, None]
            return int(hits.sum()) / max(int(others.sum()), 1)

        def is_enough(n_leaves: int) -> bool:
            nonlocal structure
            structure = replace(structure, n_searched=n_leaves)
            return share() >= fitting.TARGET

        if self.reorder is None:
            while structure.n_measured < _MOST_REORDER and share() < _CODES_TARGET:
                structure = replace(structure, n_measured=2 * structure.n_measured)
        n_leaves = self.leaves_to_search
        if n_leaves is None:
            # Rows are found in fewer leaves than queries that are none of the rows.
            n_leaves = 2 * fitting.least(structure.n_leaves, is_enough)
            n_leaves = max(n_leaves, _LEAST_SEARCHED)
        return replace(structure, n_searched=min(n_leaves, structure.n_leaves))

    # Lookups.

    def _lookup(
        self, structure: _Structure, queries: np.ndarray, k: int
    ) -> tuple[np.ndarray, np.ndarray]:
        n_leaves = fitting.n_searched(
            structure.n_searched, structure.n_leaves, structure.n_rows, k
        )
        positions, values = self._searched(
            structure, self._prepared(queries), k, n_leaves
        )
        return positions, self._in_unit(values)

    def _searched(
        self, structure: _Structure, prepared: np.ndarray, k: int, n_leaves: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """ScaNN's own answer: positions, -1 where too few came, and values."""
        n_measured = (
            structure.n_measured * max(k, fitting.N_NEIGHBOURS) // fitting.N_NEIGHBOURS
        )
        limits = (k, max(k, n_measured), n_leaves or -1)
        positions = np.full((len(prepared), k), -1, np.int64)
        values = np.full((len(prepared), k), np.nan, np.float32)
        if len(prepared) == 1:
            found, measured = structure.searcher.search(prepared[0], *limits)
            positions[0, : len(found)] = found
            values[0, : len(found)] = measured
        elif len(prepared):
            share = -(-len(prepared) // (os.cpu_count() or 1))
            positions[:], values[:] = structure.searcher.search_batched_parallel(
                prepared, *limits, batch_size=min(share, 256)
            )
        positions[np.isnan(values)] = -1
        return positions, values

    def _prepared(self, rows: np.ndarray) -> np.ndarray:
        if type(self.distance) is distances.CosineDistance:
            return unit_rows(rows)
        return rows

    def _in_unit(self, values: np.ndarray) -> np.ndarray:
        """Distances in the unit of `self.distance`, inf for NaN."""
        kind = type(self.distance)
        values = np.where(np.isnan(values), np.float32(np.inf), values)
        if kind in (distances.CosineDistance, distances.InnerProductSimilarity):
            values = np.where(values == np.inf, values, -values)
        if kind is distances.InnerProductSimilarity:
            return values
        if kind is distances.CosineDistance:
            return np.maximum(values + 1.0, 0.0)
        values = np.maximum(values, 0.0)
        return np.sqrt(values) if kind is distances.EuclideanDistance else values

    # Files.

    def _save(self, structure: _Structure, path: Path) -> None:
        facts = {
            "n_rows": structure.n_rows,
            "n_leaves": structure.n_leaves,
            "n_searched": structure.n_searched,
            "n_measured": structure.n_measured,
        }
        (path / _FACTS).write_text(json.dumps(facts), encoding="utf-8")
        with quiet():
            structure.searcher.serialize(str(path), relative_path=True)

    def _load(self, path: Path, n_positions: int) -> Any:
        if (path / _DOCIDS).exists():
            raise ValueError(
                f"{str(path)!r} holds {_DOCIDS!r}, a pickle, which can run anybody's "
                "program; it is not from here. Restore the folder from a copy, or "
                "build the index again, by `build(force=True)`."
            )
        try:
            facts = json.loads((path / _FACTS).read_text(encoding="utf-8"))
            with quiet():
                searcher = scann_module().load_searcher(
                    str(path), assets_backcompat_shim=False
                )
            structure = _Structure(searcher, **facts)
        except (OSError, TypeError, ValueError, RuntimeError) as error:
            raise _unreadable(path, error) from error
        if searcher.size() != n_positions or structure.n_rows != n_positions:
            what = f"it holds {searcher.size()} rows in place of {n_positions}"
            raise _unreadable(path, what)
        if structure.n_leaves and self.leaves_to_search is not None:
            searched = min(self.leaves_to_search, structure.n_leaves)
            structure = replace(structure, n_searched=searched)
        return structure

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "n_leaves": self.n_leaves,
            "leaves_to_search": self.leaves_to_search,
            "reorder": self.reorder,
        }


def _unreadable(path: Path, why: object) -> ValueError:
    return ValueError(
        f"{str(path)!r} does not hold a searcher of ScaNN as it was written. Restore "
        f"it from a copy, or build the index again, by `build(force=True)`. ({why})"
    )


def _nearest(
    rows: np.ndarray, queries: np.ndarray, k: int, by_product: bool
) -> np.ndarray:
    """Positions of the k nearest of all rows, in any order."""
    best = np.empty((len(queries), 0), np.float32)
    positions = np.empty((len(queries), 0), np.int64)
    for i in range(0, len(rows), fitting.STEP):
        part = rows[i : i + fitting.STEP]
        ranks = -queries @ part.T
        if not by_product:
            ranks += 0.5 * np.einsum("nd,nd->n", part, part)
        numbers = np.broadcast_to(np.arange(i, i + len(part)), ranks.shape)
        best = np.concatenate([best, ranks], axis=1)
        positions = np.concatenate([positions, numbers], axis=1)
        lowest = np.argpartition(best, min(k, best.shape[1]) - 1, axis=1)[:, :k]
        best = np.take_along_axis(best, lowest, 1)
        positions = np.take_along_axis(positions, lowest, 1)
    return positions
