"""Queries and what the index found for each, as a figure or as a page."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tensorflow_similarity._core import doors
from tensorflow_similarity.visualization.class_names import class_name
from tensorflow_similarity.visualization.drawing import threshold_of
from tensorflow_similarity.visualization.gallery_figure import draw
from tensorflow_similarity.visualization.gallery_page import fragment, page
from tensorflow_similarity.visualization.gallery_row import Cell, GalleryRow
from tensorflow_similarity.visualization.judged_lookups import in_order, judge
from tensorflow_similarity.visualization.pages import write_page
from tensorflow_similarity.visualization.rendering import rendered


def neighbors_gallery(
    lookups: Any,
    queries: Any = None,
    labels: Any = None,
    *,
    class_mapping: Any = None,
    sort: str | None = None,
    threshold: Any = None,
    render: Callable[[Any], Any] | None = None,
    max_queries: int = 20,
    max_neighbors: int = 10,
    title: str = "Nearest neighbours",
) -> "NeighborsGallery":
    """Lays out queries and their neighbours to look through, mistakes first if asked.

    Neighbours of the query's class have a tick and a blue frame, those of another a
    cross and a vermilion one; where either has no label there is neither. Pictures are
    shown as pictures and all else as text, unless `render` says otherwise.

    Orders:

    - None: as the queries came.
    - "worst": the nearest right neighbour farthest behind the nearest wrong one; before
      all, queries without any right neighbour. Needs `labels`.
    - "confused": queries whose nearest neighbour is wrong, the commonest pair of
      classes first, within a pair the nearest first. Needs `labels`.
    - "threshold": the nearest neighbour closest to `threshold`, on either side: what a
      slightly different threshold would decide otherwise.

    Args:
        lookups: what `model.lookup(x)` gives, or a list of lists of `Lookup`.
        queries: data of the queries, n pictures, texts or anything `render` knows.
            Defaults to None: queries are numbered.
        labels: of the queries, n integers or strings. Defaults to None: nothing is
            marked.
        class_mapping: names of the labels: a list by integer label, or anything with
            `.get`. Defaults to None: labels.
        sort: the order, as above.
        threshold: a distance, one of `calibration.cutpoints`, or a calibration.
        render: a function of one item's data that gives a text (shown escaped), a
            picture, or HTML (an object with `_repr_html_`). Defaults to None.
        max_queries: how many queries are shown, at least 1. Defaults to 20, a page one
            looks through.
        max_neighbors: how many neighbours of each, at least 1. Defaults to 10.
        title: above all.

    Returns:
        A `NeighborsGallery`: shows itself in a notebook, `.figure()` draws it,
        `.save_html(path)` writes one file that opens without a network.

    Raises:
        ValueError: for another number of queries or labels than lookups, an unknown
            order, an order that lacks labels or the threshold, or NaN in a picture.
        TypeError: for something that is no lookups, labels of another kind than the
            index has, a title that is no text, or a `render` that gives something that
            cannot be shown.

    Example:
        >>> from tensorflow_similarity.types import Lookup
        >>> found = [[Lookup(1, 0.1, label="cat", data="a cat")]]
        >>> gallery = neighbors_gallery(found, ["a dog"], ["dog"], sort="confused")
        >>> gallery.rows[0].caption
        'dog taken for cat, 1 times'
    """
    if not hasattr(lookups, "__len__"):
        raise TypeError(
            "`lookups` must be `Lookups`, as `model.lookup(x)` answers, or a list of "
            f"lists of `Lookup`. Received: {type(lookups).__name__}."
        )
    doors.as_text(title, "title")
    n_queries = len(lookups)
    for name, values in (("queries", queries), ("labels", labels)):
        if values is None:
            continue
        if not hasattr(values, "__len__"):
            raise TypeError(
                f"`{name}` must hold one for each of the {n_queries} lookups. "
                f"Received: {type(values).__name__}."
            )
        if len(values) != n_queries:
            raise ValueError(
                f"`{name}` must hold one for each of the {n_queries} lookups. "
                f"Received: {len(values)}."
            )
    for name, number in (
        ("max_queries", max_queries),
        ("max_neighbors", max_neighbors),
    ):
        _check_whole(name, number)
    judged = judge(lookups, labels)
    limit = threshold_of(threshold)
    order, captions = in_order(judged, sort, limit, class_mapping)
    marks = np.where(judged.right, 1, np.where(judged.wrong, -1, 0))
    rows = []
    for i, caption in zip(order[:max_queries].tolist(), captions, strict=False):
        label = judged.query_labels[i]
        name = f"`queries[{i}]`"
        query = Cell(
            rendered(None if queries is None else queries[i], render, name),
            f"query {i}" if label is None else class_name(label, class_mapping),
        )
        neighbors = [
            Cell(
                rendered(item.data, render, f"the neighbour of rank {item.rank}"),
                _title(judged.labels[i, j], item.distance, class_mapping),
                int(marks[i, j]),
                "" if item.id is None else f"id {item.id}",
            )
            for j, item in enumerate(lookups[i][:max_neighbors])
        ]
        rows.append(GalleryRow(i, query, neighbors, caption))
    return NeighborsGallery(rows, n_queries, len(order), title)


class NeighborsGallery:
    """What `neighbors_gallery` laid out.

    Args:
        rows: one for each query that is shown, in order; each has `query` and
            `neighbors` with their titles, `caption`, and `position`, which query it is.
        n_queries: queries there are.
        n_sorted: queries that the order has: those it is about.
        title: above all.
    """

    def __init__(
        self, rows: list[GalleryRow], n_queries: int, n_sorted: int, title: str
    ):
        self.rows = rows
        self.n_queries = n_queries
        self.n_sorted = n_sorted
        self.title = title

    @property
    def order(self) -> list[int]:
        """Positions of the queries that are shown."""
        return [row.position for row in self.rows]

    @property
    def note(self) -> str:
        """How many queries are shown of how many."""
        of = f"{self.n_queries:,} queries"
        if self.n_sorted < self.n_queries:
            of = f"{self.n_sorted:,} that this order is about, among {of}"
        return f"{len(self.rows):,} of {of}"

    def figure(self, size: float = 1.5, cmap: str = "viridis") -> Any:
        """Draws the gallery with Matplotlib.

        Args:
            size: width and height of one item in inches. Defaults to 1.5.
            cmap: name of the Matplotlib colours for pictures of one channel.

        Returns:
            The `matplotlib.figure.Figure`.

        Raises:
            ImportError: if Matplotlib is missing.
        """
        return draw(self.rows, self.title, self.note, size, cmap)

    def html(self, size: int = 96) -> str:
        """The gallery as a whole page, pictures `size` pixels high."""
        return page(self.rows, self.title, self.note, size)

    def save_html(self, path: str | os.PathLike[str], size: int = 96) -> Path:
        """Writes the gallery as one file that opens without a network.

        Args:
            path: of the file, by custom with the ending ".html". Replaced if it exists.
            size: height of the pictures in pixels. Defaults to 96.

        Returns:
            The path.

        Raises:
            FileNotFoundError: if there is no such folder.
        """
        write_page(path, self.html(size))
        return Path(path)

    def _repr_html_(self) -> str:
        return fragment(self.rows, self.title, self.note, 72)

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        return f"NeighborsGallery({self.note})"


def _title(label: Any, distance: float, class_mapping: Any) -> str:
    return f"{class_name(label, class_mapping)} - {distance:.5f}"


def _check_whole(name: str, number: Any) -> None:
    try:
        doors.as_k(number)
    except ValueError:
        raise ValueError(
            f"`{name}` must be an integer of at least 1. Received: {name}={number!r}."
        ) from None
