"""The engine that suits the rows: by their number, the distance and what is there."""

import importlib.util
import json
import logging
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tensorflow_similarity import distances
from tensorflow_similarity._core.vectors import Vectors
from tensorflow_similarity.distances import Distance
from tensorflow_similarity.search import fitting
from tensorflow_similarity.search.faiss_search import FaissSearch
from tensorflow_similarity.search.nmslib_search import NMSLibSearch
from tensorflow_similarity.search.scann_search import ScaNNSearch
from tensorflow_similarity.search.search import Search

# From so many rows on ScaNN answers several times as many queries as NMSLIB.
_MANY_ROWS = 500_000
_FILE = "engine.json"
_FOLDER = "engine"


@dataclass(frozen=True, eq=False)
class _Picked:
    """A structure, the name of its engine, and how many rows are in it."""

    engine: str
    n_rows: int
    structure: Any


@keras.saving.register_keras_serializable(package="tensorflow_similarity")
class AutoSearch(Search):
    """Picks the engine for the rows at hand, each time it builds.

    - Under 2,000,000 floats (31,000 rows of 64): exact search.
    - From 500,000 rows on: ScaNN, if it is installed, on Linux, by cosine, and by
      inner_product and the euclidean ones where the rows have one length.
    - Else NMSLIB, if it is installed and can do the distance.
    - Else Faiss' graph, likewise.
    - Else exact search, at any size.

    What was picked is said by `describe`, kept with the structures, and stays theirs
    until they are built again. Structures of an engine that is missing where they are
    read are left out, with a warning: rows are searched exactly until they are built.

    Args:
        distance: name of a distance or a `Distance`, your own too.
        dim: int, width of the embeddings.
        rescore: see `Search`. Defaults to None, and where ScaNN may be picked to 1 by
            euclidean and squared_euclidean: it loses the digits of small ones.

    Example:
        >>> search = AutoSearch("cosine", dim=64)
        >>> search.describe([])
        'exact'
    """

    default_name = "auto"

    def __init__(
        self,
        distance: str | Distance,
        dim: int,
        name: str | None = None,
        verbose: int = 0,
        rescore: int | None = None,
    ):
        super().__init__(distance, dim, name, verbose, rescore)
        products = (distances.CosineDistance, distances.InnerProductSimilarity)
        if self.rescore is None and self._can("scann"):
            self.rescore = None if type(self.distance) in products else 1
        self._engines: dict[str, Search] = {}

    def describe(self, structures: Sequence[Any]) -> str:
        """What answers, in words: "scann for 1,000,000 rows, nmslib for 40,000"."""
        n_rows: Counter[str] = Counter()
        for picked in structures:
            n_rows[picked.engine] += picked.n_rows
        parts = [f"{engine} for {n:,}" for engine, n in n_rows.most_common()]
        return ", ".join([f"{parts[0]} rows", *parts[1:]]) if parts else "exact"

    def _wants_structure(self, n_rows: int) -> bool:
        return n_rows * self.dim >= fitting.EXACT_FLOATS and bool(self._candidates())

    def _build(self, vectors: Vectors, rows: np.ndarray) -> Any:
        for name in self._candidates():
            if name == "scann" and not self._suits_scann(vectors, rows):
                continue
            structure = self._engine(name)._build(vectors, rows)
            if structure is not None:
                return _Picked(name, len(rows), structure)
        return None

    def _candidates(self) -> list[str]:
        """Engines that are here and can do the distance, the best for most first."""
        return [name for name in ("scann", "nmslib", "faiss") if self._can(name)]

    def _can(self, name: str) -> bool:
        kind = type(self.distance)
        if name == "scann" and sys.platform != "linux":
            return False
        known: Iterable[type[Distance]] = {
            "scann": ScaNNSearch._MEASURES,
            "nmslib": NMSLibSearch._SPACES,
            "faiss": FaissSearch._METRICS,
        }[name]
        return kind in known and importlib.util.find_spec(name) is not None

    def _suits_scann(self, vectors: Vectors, rows: np.ndarray) -> bool:
        if len(rows) < _MANY_ROWS:
            return False
        if type(self.distance) is distances.CosineDistance:
            return True
        sample = vectors.take(rows[fitting.spaced(len(rows))])
        return fitting.are_of_one_length(sample)

    def _engine(self, name: str) -> Search:
        if name not in self._engines:
            made: Search
            if name == "scann":
                made = ScaNNSearch(self.distance, self.dim)
            elif name == "nmslib":
                made = NMSLibSearch(self.distance, self.dim)
            else:
                made = FaissSearch(self.distance, self.dim, algo="hnsw")
            self._engines[name] = made
        return self._engines[name]

    def _lookup(
        self, structure: _Picked, queries: np.ndarray, k: int
    ) -> tuple[np.ndarray, np.ndarray]:
        return self._engine(structure.engine)._lookup(structure.structure, queries, k)

    def _save(self, structure: _Picked, path: Path) -> None:
        facts = json.dumps({"engine": structure.engine})
        (path / _FILE).write_text(facts, encoding="utf-8")
        (path / _FOLDER).mkdir()
        self._engine(structure.engine)._save(structure.structure, path / _FOLDER)

    def _load(self, path: Path, n_positions: int) -> Any:
        name = json.loads((path / _FILE).read_text(encoding="utf-8"))["engine"]
        if name not in ("scann", "nmslib", "faiss"):
            raise ValueError(
                f"{str(path / _FILE)!r} names an engine {name!r} that is not known. It "
                "was written by a newer version: update the package."
            )
        try:
            structure = self._engine(name)._load(path / _FOLDER, n_positions)
        except ImportError as error:
            logging.getLogger(__name__).warning(
                "%s Until the index is built again every row is searched exactly.",
                error,
            )
            return None
        return None if structure is None else _Picked(name, n_positions, structure)
