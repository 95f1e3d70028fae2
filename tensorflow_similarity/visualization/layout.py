"""Where points lie on a plane: fitted once, and new points find their place in it."""

import warnings
from dataclasses import dataclass, field
from functools import cached_property
from types import ModuleType
from typing import Any

import numpy as np

from tensorflow_similarity import distances
from tensorflow_similarity._core import doors
from tensorflow_similarity._core.optional import optional_import
from tensorflow_similarity.distances import CosineDistance, Distance
from tensorflow_similarity.search import LinearSearch
from tensorflow_similarity.search.kernels import unit_rows

# UMAP's own default; also how many fitted points place a new one.
N_NEIGHBORS = 15
_METHODS = {"umap": "umap", "pca": "pca", "tsne": "tsne"}


@dataclass(frozen=True, eq=False)
class Layout:
    """Positions of embeddings on a plane, and the way to place new ones among them.

    `Projection.layout` is one; give it to `projector(..., layout=)` to draw other
    points in the same picture.

    Args:
        method: "umap", "densmap", "pca", "tsne" or "given".
        embeddings: float32, shape (n, dim), those it was fitted to.
        coordinates: float32, shape (n, 2).
        distance: by which new points find the nearest of the fitted ones.
        mean, axes: of "pca" alone, shape (dim,) and (dim, 2).
    """

    method: str
    embeddings: np.ndarray
    coordinates: np.ndarray
    distance: Distance
    mean: np.ndarray | None = field(default=None, repr=False)
    axes: np.ndarray | None = field(default=None, repr=False)

    def transform(self, embeddings: Any) -> np.ndarray:
        """Coordinates of new points; the layout stays as it is.

        PCA projects them on its axes. In every other layout a point goes to the mean
        of its k = 15 nearest fitted points with weights exp(-(d_i - d_1) / s), where s
        is the mean of d_i - d_1: that is where UMAP, too, begins to place a new point.
        One at distance 0 from fitted points lies where they lie.

        Args:
            embeddings: shape (m, dim), as wide as the fitted ones.

        Returns:
            float32, shape (m, 2).

        Raises:
            ValueError: for another width, or values that are not finite.
        """
        new = doors.as_embeddings(embeddings, self.embeddings.shape[1])
        if self.axes is not None and self.mean is not None:
            new = _straightened(new, self.distance)
            return np.asarray((new - self.mean) @ self.axes, np.float32)
        k = min(N_NEIGHBORS, len(self.embeddings))
        rows, found = self._search.batch_lookup(new, k)
        excess = found.astype(np.float64) - found[:, :1]
        scale = excess.mean(axis=1, keepdims=True)
        weights = np.exp(-excess / np.where(scale > 0, scale, 1.0))
        same = found <= 0
        weights = np.where(same.any(axis=1, keepdims=True), same, weights)
        weights = weights / weights.sum(axis=1, keepdims=True)
        places = np.einsum("mk,mkc->mc", weights, self.coordinates[rows])
        return np.asarray(places, np.float32)

    @cached_property
    def _search(self) -> LinearSearch:
        search = LinearSearch(self.distance, self.embeddings.shape[1])
        search.batch_add(self.embeddings, np.arange(len(self.embeddings)))
        return search


def import_packages(layout: Any) -> None:
    """Imports what drawing by this layout needs, before anything takes long.

    Raises:
        ImportError: if it is missing; the message has the line that installs it.
    """
    optional_import("bokeh.plotting", purpose="Drawing the projector")
    name = layout.strip().lower() if isinstance(layout, str) else ""
    if name == "umap":
        _umap_module()
    if name == "tsne":
        _manifold_module()


def layout_of(
    embeddings: np.ndarray,
    method: Any,
    distance: Distance,
    neighbors: tuple[np.ndarray, np.ndarray],
    densmap: bool = True,
    seed: int = 0,
    verbose: int = 0,
) -> Layout:
    """The layout of these embeddings.

    Args:
        embeddings: float32, shape (n, dim).
        method: "umap", "pca", "tsne", coordinates (n, 2), or a fitted `Layout`.
        neighbors: rows and distances of the nearest others, (n, at least 14) or all
            of them; only UMAP looks at them.
        densmap: whether "umap" keeps dense regions dense.

    Raises:
        ValueError: for an unknown method, coordinates of another shape, or a layout
            fitted to embeddings of another width.
        ImportError: if umap-learn or scikit-learn is missing.
    """
    if isinstance(method, Layout):
        places = method.transform(embeddings)
        return Layout("given", embeddings, places, distance)
    if not isinstance(method, str):
        return Layout("given", embeddings, _checked(method, len(embeddings)), distance)
    name = doors.known(method, "layout", _METHODS)
    rows = _straightened(embeddings, distance)
    if name == "pca":
        mean, axes = _principal_axes(rows)
        places = np.asarray((rows - mean) @ axes, np.float32)
        return Layout("pca", embeddings, places, distance, mean, axes)
    if name == "tsne":
        return Layout("tsne", embeddings, _tsne(rows, seed, verbose), distance)
    places = _umap(rows, neighbors, densmap, seed, verbose)
    return Layout("densmap" if densmap else "umap", embeddings, places, distance)


def distance_of(distance: Any, index: Any = None) -> Distance:
    """The distance asked for, an index's own, or cosine."""
    if distance is None:
        distance = "cosine" if index is None else index.distance
    return distances.get(distance)


def _straightened(rows: np.ndarray, distance: Distance) -> np.ndarray:
    """Rows whose Euclidean distances rank as `distance` does, where there are such."""
    return unit_rows(rows) if isinstance(distance, CosineDistance) else rows


def _checked(coordinates: Any, n: int) -> np.ndarray:
    try:
        places = doors.as_embeddings(coordinates, 2, "layout")
    except ValueError as error:
        raise ValueError(
            '`layout` must be "umap", "pca", "tsne", a fitted layout, or finite '
            f"coordinates of shape ({n}, 2). {error}"
        ) from None
    if len(places) != n:
        raise ValueError(
            f"`layout` must hold one place for each embedding, shape ({n}, 2). "
            f"Received: shape={places.shape}."
        )
    return places


def _principal_axes(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean (dim,) and the two axes (dim, 2) of largest variance, each with one sign."""
    wide = rows.astype(np.float64)
    mean = wide.mean(axis=0)
    wide -= mean
    if len(wide) < wide.shape[1]:
        found = np.linalg.svd(wide, full_matrices=False)[2][:2].T
    else:
        found = np.linalg.eigh(wide.T @ wide)[1][:, ::-1][:, :2]
    # One-dimensional embeddings lie on a line.
    axes = np.zeros((wide.shape[1], 2))
    axes[:, : found.shape[1]] = found
    # An axis and its opposite are as good: the largest component is made positive.
    largest = np.abs(axes).argmax(axis=0)
    axes *= np.where(axes[largest, [0, 1]] < 0, -1.0, 1.0)
    return mean, axes


def _manifold_module() -> ModuleType:
    return optional_import(
        "sklearn.manifold", purpose="The layout 'tsne'", package="scikit-learn"
    )


def _umap_module() -> ModuleType:
    with warnings.catch_warnings():
        # Of packages that it imports and we do not use.
        warnings.simplefilter("ignore")
        return optional_import(
            "umap", purpose="The layout 'umap'", package="umap-learn"
        )


def _tsne(rows: np.ndarray, seed: int, verbose: int) -> np.ndarray:
    model = _manifold_module().TSNE(
        # A third of the points is the most that perplexity makes sense for.
        perplexity=min(30.0, (len(rows) - 1) / 3),
        init="pca" if rows.shape[1] > 1 else "random",
        random_state=seed,
        verbose=verbose,
    )
    return np.asarray(model.fit_transform(rows), np.float32)


def _umap(
    rows: np.ndarray,
    neighbors: tuple[np.ndarray, np.ndarray],
    densmap: bool,
    seed: int,
    verbose: int,
) -> np.ndarray:
    n_neighbors = min(N_NEIGHBORS, len(rows))
    n_others = n_neighbors - 1
    own = np.arange(len(rows), dtype=np.int32)[:, None]
    found = np.concatenate([own, neighbors[0][:, :n_others]], axis=1)
    near = np.pad(neighbors[1][:, :n_others], ((0, 0), (1, 0))).astype(np.float32)
    # Inner products may be negative; UMAP counts from the nearest anyway.
    near = np.maximum(near - np.minimum(near.min(), 0.0), 0.0)
    near[:, 0] = 0.0
    with warnings.catch_warnings():
        # Its and numba's notes are about choices made here.
        warnings.simplefilter("ignore")
        model = _umap_module().UMAP(
            n_neighbors=n_neighbors,
            # Spectral starts need more points than that.
            init="spectral" if len(rows) > 10 else "random",
            densmap=densmap,
            precomputed_knn=(found, near),
            random_state=seed,
            # More threads would give another picture at each run.
            n_jobs=1,
            verbose=bool(verbose),
        )
        places = model.fit_transform(rows)
    return _filled(np.asarray(places, np.float32))


def _filled(places: np.ndarray) -> np.ndarray:
    """Points that UMAP leaves out, as it does lonely ones, beside the others."""
    lost = ~np.isfinite(places).all(axis=1)
    if lost.any():
        places[lost] = np.nanmin(places, axis=0) if not lost.all() else 0.0
    return places
