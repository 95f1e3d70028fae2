"""The sections of a report that show: errors, confused classes, projector, health."""

from dataclasses import replace
from typing import Any

import numpy as np

from tensorflow_similarity.evaluators import class_confusion, embedding_health
from tensorflow_similarity.types import Lookups
from tensorflow_similarity.visualization.gallery_page import fragment
from tensorflow_similarity.visualization.neighbors_gallery import neighbors_gallery
from tensorflow_similarity.visualization.projector import projector
from tensorflow_similarity.visualization.report_page import (
    NO_LABELS,
    Section,
    counted,
    paragraph,
    table,
)
from tensorflow_similarity.visualization.report_subject import N_NEIGHBORS, Subject

# Neighbours of each query in the gallery, and the height of its pictures in pixels.
_SHOWN, _SIZE = 8, 72
# Pairs of classes that are listed.
_MOST_PAIRS = 20


def errors(subject: Subject) -> Section:
    """The queries whose neighbours are worst, and what was found for them."""
    head = ("errors", "Worst neighbours")
    if not len(subject.classes):
        return Section(*head, why=NO_LABELS)
    places = np.flatnonzero(subject.has_fellow)
    if not len(places) or subject.points.labels is None:
        return Section(*head, why=subject.why_no_fellow)
    # A class of one has nothing to be right with: it is no error.
    found = _some(subject.lookups, places)
    rows = subject.asked[places]
    labels = subject.points.labels[rows]
    first = subject.codes[found.ids[:, 0]]
    wrong = (first >= 0) & (first != subject.codes[rows])
    n_wrong, n_judged = int(wrong.sum()), int((first >= 0).sum())
    share = f" ({n_wrong / n_judged:.1%})" if n_judged else ""
    if n_wrong:
        text = (
            f"{n_wrong:,} of {counted(n_judged, 'query has', 'queries have')} a "
            f"nearest neighbour of another class{share}. The worst come first: those "
            "without any right neighbour among the nearest "
            f"{found.ids.shape[1]}, then those whose right one is farthest behind a "
            "wrong one."
        )
    else:
        text = "No nearest neighbour is of another class. The closest calls come first."
    numbers = {"n_wrong": n_wrong, "n_judged": n_judged}
    if not n_judged or not subject.max_errors:
        return Section(*head, paragraph(text), numbers=numbers)
    gallery = neighbors_gallery(
        found,
        _Data(subject, rows),
        labels,
        class_mapping=subject.class_mapping,
        sort="worst",
        render=subject.render,
        max_queries=subject.max_errors,
        max_neighbors=_SHOWN,
    )
    # Rows by their number among all, neighbours by the ids that an index has.
    ids = subject.points.ids
    shown = []
    for row in gallery.rows:
        place = int(rows[row.position])
        near = found.ids[row.position]
        neighbors = [
            replace(cell, detail=f"id {ids[int(near[j])]}")
            for j, cell in enumerate(row.neighbors)
        ]
        query = replace(row.query, detail=f"id {ids[place]}")
        shown.append(replace(row, position=place, query=query, neighbors=neighbors))
    body = paragraph(text) + fragment(shown, "", gallery.note, _SIZE)
    return Section(*head, body, numbers=numbers)


class _Data:
    """What is known of the queries, looked up when it is shown.

    Args:
        subject: of the report.
        rows: which items the queries are.
    """

    def __init__(self, subject: Subject, rows: np.ndarray):
        self._subject, self._rows = subject, rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, i: int) -> Any:
        return self._subject.data_of(int(self._rows[i]))


def _some(lookups: Lookups, places: np.ndarray) -> Lookups:
    return Lookups(
        lookups.ids[places],
        lookups.distances[places],
        lookups.labels[places],
        lookups.found[places],
        lookups.records,
    )


def confused(subject: Subject) -> Section:
    """The pairs of classes that neighbours mix most."""
    head = ("confused", "Most confused classes")
    if not len(subject.classes):
        return Section(*head, why=NO_LABELS)
    if len(subject.classes) < 2:
        return Section(*head, why="there is one class only.")
    codes = subject.codes[subject.asked]
    sizes = np.bincount(codes[codes >= 0], minlength=len(subject.classes))
    if not sizes.any():
        return Section(*head, why=subject.of_drawn("none of {} has a label."))
    labels = subject.points.labels
    found = class_confusion(
        subject.lookups, None if labels is None else labels[subject.asked]
    )
    n_items = dict(zip(subject.classes, sizes.tolist(), strict=True))
    pairs = found.most_confused(_MOST_PAIRS)
    numbers = {"most_confused": pairs}
    k = min(N_NEIGHBORS, len(subject.points) - 1)
    text = (
        f"Of the labelled ones among the {k} nearest neighbours of a class's items, "
        "the share that is of another class."
    )
    if not pairs:
        text = f"No item has one of another class among its {k} nearest neighbours."
        return Section(*head, paragraph(text), numbers=numbers)
    n_pairs = int((found.sources != found.targets).sum())
    caption = f"The {len(pairs)} most confused of {counted(n_pairs, 'pair', 'pairs')}"
    rows = [
        [subject.name_of(a), subject.name_of(b), f"{n_items[a]:,}", f"{share:.1%}"]
        for a, b, share in pairs
    ]
    titles = ["items of the class", "have neighbours of", "items", "share"]
    body = paragraph(text) + table(caption, titles, rows, texts=2)
    return Section(*head, body, numbers=numbers)


def projection(subject: Subject) -> Section:
    """Where the embeddings lie, to explore with the mouse."""
    head = ("projector", "Projector")
    if subject.layout is None:
        return Section(*head, why="it was not asked for (`layout=None`).")
    points = subject.points
    index = subject.given if subject.given is not points.embeddings else None
    drawn = projector(
        points.embeddings if index is None else index,
        points.labels,
        subject.class_mapping,
        points.images,
        metadata=points.columns or None,
        distance=subject.distance,
        # Keeping dense regions dense takes UMAP half as long again and more.
        densmap=False,
        layout=subject.layout,
        max_points=subject.max_points,
        seed=subject.seed,
        show=False,
    )
    text = paragraph(
        "Point at an item for what is known of it, click it for its nearest "
        "neighbours, search, hide classes, colour by right and wrong."
    )
    numbers = {"n_points": len(drawn.rows), "layout": drawn.layout.method}
    return Section(*head, text + drawn._repr_html_(), numbers=numbers)


def health(subject: Subject) -> Section:
    """Whether the embeddings are fit for searching."""
    head = ("health", "Health of the embeddings")
    points, asked = subject.points, subject.asked
    ids = None if isinstance(points.ids, range) else [points.ids[i] for i in asked]
    labels = None if points.labels is None else points.labels[asked]
    try:
        found = embedding_health(
            points.embeddings[asked],
            labels,
            ids=asked if ids is None else ids,
            distance=subject.distance,
            seed=subject.seed,
        )
    except ValueError as error:
        # The rest was checked before: it is a distance that has no zero.
        return Section(*head, why=str(error))
    body = f'<div class="wide">{found._repr_html_()}</div>'
    return Section(*head, body, numbers={**found.to_dict(), "warnings": found.warnings})
