"""The projector: embeddings on a plane, to be explored with the mouse."""

import math
from typing import Any

import numpy as np

from tensorflow_similarity._core import doors
from tensorflow_similarity.visualization import colours
from tensorflow_similarity.visualization import layout as layouts
from tensorflow_similarity.visualization.layout import Layout
from tensorflow_similarity.visualization.nearest_points import nearest_points
from tensorflow_similarity.visualization.points import Points, is_index, points_of
from tensorflow_similarity.visualization.projection import Projection
from tensorflow_similarity.visualization.projector_page import DRAG_TOOLS
from tensorflow_similarity.visualization.thumbnails import thumbnails

# What the layouts' packages take.
_LARGEST_SEED = 2**32 - 1
_METHOD_WORDS = {
    "umap": "UMAP",
    "densmap": "densMAP",
    "pca": "PCA",
    "tsne": "t-SNE",
    "given": "given coordinates",
}


def projector(
    embeddings: Any,
    labels: Any = None,
    class_mapping: Any = None,
    images: Any = None,
    image_size: int = 64,
    tooltips_info: Any = None,
    pt_size: float = 3,
    colorize: bool = True,
    pastel_factor: float = 0.1,
    plot_size: int = 600,
    active_drag: str | None = "box_zoom",
    densmap: bool = True,
    *,
    layout: Any = "umap",
    distance: Any = None,
    metadata: Any = None,
    errors: Any = None,
    neighbors: int = 10,
    max_points: int | None = 20_000,
    seed: int = 0,
    title: str = "Projector",
    show: bool = True,
    verbose: int = 0,
) -> Projection:
    """Draws embeddings on a plane, as a page to explore.

    On the page one pans, zooms, and selects with a lasso; the pointer shows a point's
    picture, label and texts; a click shows its nearest neighbours beside the plot, by
    the distance of the embeddings, not of the picture; the list of classes hides
    them; the search box finds labels, texts and ids; points are coloured by label, by
    a column, or by right and wrong. Points are drawn by WebGL, and by the canvas
    where the browser has none.

    The same arguments give the same picture, to the byte.

    Args:
        embeddings: shape (n, dim), n at least 3; or an index, as `model.indexer`,
            which brings its labels, ids, data (pictures or texts) and metadata along.
        labels: n integers, strings, or None for a point without one. Defaults to
            None: no labels.
        class_mapping: names of the labels: a list or a dict. Defaults to None.
        images: n pictures, (height, width), or with 1, 3 or 4 channels: integers from
            0 to 255, floats from 0 to 1, or all of them floats from 0 to 255. Sizes
            may differ. Defaults to None: no pictures.
        image_size: pixels a picture is shown at. Defaults to 64.
        tooltips_info: texts for the pointer: n of them, or a dict from names to n
            values each.
        pt_size: diameter of a point in pixels. Defaults to 3, for thousands of points.
        colorize: whether classes have colours of their own.
        pastel_factor: share of white mixed into the colours, from 0 to 1. Defaults
            to 0.1.
        plot_size: side of the plot in pixels; less where the window is narrow.
        active_drag: what dragging does at first: "box_zoom", "pan", "lasso_select",
            "box_select" or None.
        densmap: whether UMAP keeps dense regions dense.
        layout: "umap", "pca", "tsne", coordinates of shape (n, 2), or the `layout` of
            an earlier projection, in which these points find their places. Defaults
            to "umap", which keeps neighbours together and takes about a second per
            thousand points; "pca" is immediate.
        distance: name or `Distance` by which neighbours are near. Defaults to None:
            the index's own, else "cosine", as the losses have it.
        metadata: further columns to colour by and to show: a dict from names to n
            values each, a data frame, or n dicts. A column named as what the page
            says itself, as "label" or "id", has " (column)" put after its name.
        errors: n booleans, True where a point is wrong, as
            `matched != labels`. Defaults to None: a point is wrong if the nearest
            other one has another label.
        neighbors: how many neighbours a click shows, found by exact search among the
            drawn points. Defaults to 10; 0 for none.
        max_points: the most to draw; of more, that many are drawn at random, and the
            page says so. Defaults to 20,000: so many still move smoothly without a
            graphics card. None draws all.
        seed: of the sample and the layout, an integer from 0 to 2^32 - 1.
        title: of the page.
        show: whether to show it now: in a notebook, else in a browser.
        verbose: 1 lets UMAP and t-SNE tell how far they are.

    Returns:
        The `Projection`: `show()`, `save_html(path)`, `coordinates`, `layout`, `rows`.

    Raises:
        ValueError: for fewer than 3 points; embeddings that are ragged or not finite;
            another number of labels, pictures, texts or column entries; labels that
            `class_mapping` does not name; pictures of different ranges; or an option
            out of its range.
        TypeError: for labels, a mapping, columns or a title of another type.
        ImportError: if bokeh, umap-learn, scikit-learn or Pillow is missing where it
            is needed.

    Example:
        >>> projection = projector(
        ...     [[0, 0], [0, 1], [4, 4], [4, 5]],
        ...     ["a", "a", "b", "b"],
        ...     layout="pca",
        ...     distance="euclidean",
        ...     show=False,
        ... )
        >>> projection.neighbors[:, 0].tolist()
        [1, 0, 3, 2]
        >>> projection.save_html("projector.html")  # doctest: +SKIP

    Reference:
        McInnes et al., "UMAP: Uniform Manifold Approximation and Projection for
        Dimension Reduction", 2018; Narayan et al., "Assessing single-cell
        transcriptomic variability through density-preserving data visualization",
        Nature Biotechnology 2021 (densMAP).
    """
    image_size = doors.as_count(image_size, "image_size")
    plot_size = doors.as_count(plot_size, "plot_size", 100)
    neighbors = doors.as_count(neighbors, "neighbors", 0)
    if max_points is not None:
        max_points = doors.as_count(max_points, "max_points", 3)
    seed = doors.as_count(seed, "seed", 0, _LARGEST_SEED)
    pt_size = doors.as_number(
        pt_size, "pt_size", "above 0 and finite", lambda size: 0 < size < math.inf
    )
    pastel_factor = doors.as_number(
        pastel_factor, "pastel_factor", "from 0 to 1", lambda share: 0 <= share <= 1
    )
    _check_drag(active_drag)
    layouts.import_packages(layout)
    index = embeddings if is_index(embeddings) else None
    doors.as_text(title, "title")
    measure = layouts.distance_of(distance, index)
    points = points_of(embeddings, labels, images, tooltips_info, metadata, errors)
    n_given = len(points)
    points, notes = points.renamed()
    rows = np.arange(n_given)
    if max_points is not None and n_given > max_points:
        draw = np.random.default_rng(seed).choice(n_given, max_points, replace=False)
        rows = np.sort(draw)
        points = points.take(rows)
        notes.append(
            f"{max_points:,} of {n_given:,} points are drawn, chosen at random with "
            f"seed {seed}."
        )
        if not isinstance(layout, str | Layout):
            layout = _places_of(layout, n_given)[rows]
    # What may be refused comes before what takes long.
    pictures = None
    if points.images is not None:
        pictures = thumbnails(points.images, len(points), image_size)
        notes.extend(pictures.notes)
    colourings = _colourings(points, class_mapping, colorize, pastel_factor)

    n_needed = max(neighbors, int(points.labels is not None))
    if isinstance(layout, str) and layout.strip().lower() == "umap":
        n_needed = max(n_needed, layouts.N_NEIGHBORS - 1)
    found = nearest_points(points.embeddings, n_needed, measure)
    colourings.extend(_error_colouring(points, found[0]))
    if isinstance(layout, Layout):
        fitted, coordinates = layout, layout.transform(points.embeddings)
    else:
        fitted = layouts.layout_of(
            points.embeddings, layout, measure, found, densmap, seed, verbose
        )
        coordinates = fitted.coordinates
    notes.insert(0, _layout_note(fitted, len(points), fitted is layout))
    projection = Projection(
        coordinates=coordinates,
        layout=fitted,
        rows=rows,
        n_given=n_given,
        neighbors=found[0][:, :neighbors],
        neighbor_distances=found[1][:, :neighbors],
        notes=tuple(notes),
        _points=points,
        _colourings=colourings or [colours.of_one(len(points))],
        _thumbnails=pictures,
        _options={
            "title": title,
            "image_size": image_size,
            "pt_size": pt_size,
            "plot_size": plot_size,
            "active_drag": active_drag,
        },
    )
    if show:
        projection.show()
    return projection


def _colourings(
    points: Points, class_mapping: Any, colorize: bool, pastel_factor: float
) -> list[colours.Colouring]:
    found = []
    if points.labels is not None:
        found.append(
            colours.by_label(points.labels, class_mapping, colorize, pastel_factor)
        )
    for name, column in points.columns.items():
        colouring = colours.by_column(name, column)
        found.extend([] if colouring is None else [colouring])
    return found


def _error_colouring(points: Points, nearest: np.ndarray) -> list[colours.Colouring]:
    """Right and wrong as the user says, or by the nearest neighbour's label."""
    if points.wrong is not None:
        judged = np.ones(len(points), bool)
        return [colours.by_error("right or wrong", points.wrong, judged)]
    if points.labels is None:
        return []
    first = nearest[:, 0]
    missing = colours.without_label(points.labels)
    judged = ~missing & ~missing[first]
    wrong = points.labels != points.labels[first]
    return [colours.by_error("right or wrong neighbour", wrong, judged)]


def _layout_note(layout: Layout, n: int, is_earlier: bool) -> str:
    words = _METHOD_WORDS[layout.method]
    among = " fitted before" if is_earlier else ""
    return f"{n:,} points by {words}{among}, {layout.distance.name} distance."


def _places_of(layout: Any, n: int) -> np.ndarray:
    places = doors.as_array(layout)
    if places.ndim != 2 or len(places) != n:
        raise ValueError(
            f"`layout` must hold one place for each embedding, shape ({n}, 2). "
            f"Received: shape={places.shape}."
        )
    return places


def _check_drag(active_drag: Any) -> None:
    if active_drag is not None and active_drag not in DRAG_TOOLS:
        raise ValueError(
            f"`active_drag` must be one of {list(DRAG_TOOLS)}, or None. Received: "
            f"active_drag={active_drag!r}."
        )
