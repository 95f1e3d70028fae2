"""The report: how good embeddings are, on one page."""

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tensorflow_similarity._core import doors
from tensorflow_similarity._core.optional import optional_import
from tensorflow_similarity.distances import Distance
from tensorflow_similarity.evaluators.bootstrap import check_confidence
from tensorflow_similarity.visualization import (
    report_items,
    report_numbers,
    report_verification,
)
from tensorflow_similarity.visualization.colours import names_of
from tensorflow_similarity.visualization.drawing import threshold_of
from tensorflow_similarity.visualization.embedding_report import EmbeddingReport
from tensorflow_similarity.visualization.layout import distance_of
from tensorflow_similarity.visualization.pages import PICTURES_HINT, checked_path
from tensorflow_similarity.visualization.points import is_index, points_of
from tensorflow_similarity.visualization.report_page import Section, page, table
from tensorflow_similarity.visualization.report_subject import Subject

# In the order of the page. The projector is made first: it refuses what may be refused.
_SECTIONS: dict[str, Callable[[Subject], Section]] = {
    "retrieval": report_numbers.retrieval,
    "verification": report_verification.verification,
    "calibration": report_numbers.calibration,
    "errors": report_items.errors,
    "confused": report_items.confused,
    "projector": report_items.projection,
    "health": report_items.health,
}


def report(
    embeddings: Any,
    labels: Any = None,
    path: str | os.PathLike[str] | None = None,
    images: Any = None,
    class_mapping: Any = None,
    *,
    distance: Any = None,
    calibration: Any = None,
    metadata: Any = None,
    render: Callable[[Any], Any] | None = None,
    k: int | Sequence[int] = (1, 5, 10),
    intervals: bool = True,
    confidence: float = 0.95,
    layout: Any = "umap",
    max_items: int | None = 20_000,
    max_points: int | None = 5_000,
    max_errors: int = 12,
    seed: int = 0,
    title: str = "Report on embeddings",
    verbose: int = 0,
) -> EmbeddingReport:
    """Judges labelled embeddings and lays all out on one page.

    The page has, in this order: retrieval metrics with their n and intervals, and the
    worst classes; same or different, with the ROC, DET and precision-recall curves and
    the distances of pairs; the calibration, if one is given; the queries with the worst
    neighbours; the most confused classes; the projector; and the health of the
    embeddings. It opens without a network, light or dark as the reader's system, and
    prints. A section that these items do not allow (without labels, with one class
    only) says why.

    Each item asks for the nearest others, by exact search. The same arguments give the
    same page, to the byte.

    Args:
        embeddings: shape (n, dim), n at least 3; or an index, as `model.indexer`,
            which brings its labels, ids, data, metadata and distance along.
        labels: n integers, strings, or None for an item without one. Defaults to
            None: no labels, and little to report.
        path: where to write the page, "report.html"; its folder must exist. Defaults
            to None: nowhere; the answer has `save_html`.
        images: n pictures, as `projector` takes them. Defaults to None.
        class_mapping: names of the labels: a list or a dict.
        distance: name or `Distance` by which neighbours are near. Defaults to None:
            the index's own, else "cosine", as the losses have it.
        calibration: what `model.calibrate` gave for this distance: its threshold is
            marked and its curves drawn. Defaults to None: the threshold of equal
            errors is marked.
        metadata: further columns, as `projector` takes them; without images the
            gallery shows them.
        render: a function of an item's picture, or of the dict of its columns, that
            says how the gallery shows it, as in `neighbors_gallery`.
        k: integer or integers of at least 1, of the retrieval metrics. Above n - 1
            they are over the n - 1 others, and the page says so.
        intervals: whether retrieval metrics have bootstrap intervals.
        confidence: of the intervals, between 0 and 1. Defaults to 0.95.
        layout: of the projector, as it takes it; None for no projector. Defaults to
            "umap".
        max_items: the most items to judge, at least 3; of more, that many are drawn
            at random, and the page says so. Retrieval still searches among all.
            Defaults to 20,000: the time for pairs goes with the square. None judges
            all.
        max_points: the most to draw in the projector, at least 3. Defaults to 5,000:
            UMAP takes most of the time.
        max_errors: queries in the gallery of errors, at least 0. Defaults to 12.
        seed: of samples, intervals and the layout.
        title: of the page.
        verbose: 1 shows progress after two seconds.

    Returns:
        The `EmbeddingReport`: `save_html(path)`, `numbers`, `missing`; it shows itself
        in a notebook.

    Raises:
        ValueError: for fewer than 3 items; embeddings that are ragged or not finite;
            another number of labels, pictures or column entries; labels that
            `class_mapping` does not name; pictures of different ranges; or an option
            out of its range.
        TypeError: for labels, a mapping, columns, a calibration, a path or a title of
            another type.
        FileNotFoundError, IsADirectoryError, PermissionError: for a path that cannot
            be written.
        ImportError: if bokeh, matplotlib, umap-learn or Pillow is missing where it is
            needed.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> labels = np.arange(60) % 3
        >>> embeddings = rng.normal(size=(60, 4)) + 3 * np.eye(4)[labels]
        >>> found = report(embeddings, labels, layout="pca")
        >>> found.numbers["retrieval"]["precision_at_1"] > 0.8
        True
        >>> found.save_html("report.html")  # doctest: +SKIP
    """
    file = None if path is None else checked_path(path, PICTURES_HINT)
    doors.as_text(title, "title")
    ks = np.atleast_1d(doors.as_array(k)).tolist()
    _check_options(ks, confidence, max_items, max_points, max_errors, seed)
    optional_import("matplotlib.figure", purpose="Drawing the plots of a report")
    optional_import("bokeh.plotting", purpose="Drawing the projector")
    measure = distance_of(distance, embeddings if is_index(embeddings) else None)
    points = points_of(
        embeddings, labels, images, None, metadata, None, needed_by="A report"
    )
    asked, notes = np.arange(len(points)), []
    if max_items is not None and len(points) > max_items:
        draw = np.random.default_rng(seed).choice(len(points), max_items, replace=False)
        asked = np.sort(draw)
        notes.append(
            f"{max_items:,} of {len(points):,} items are judged, chosen at random with "
            f"seed {seed}. They are looked for among all items; pairs of items and the "
            "health of the embeddings are of those chosen alone."
        )
    n_others = len(points) - 1
    beyond = sorted({one for one in ks if one > n_others})
    if beyond:
        notes.append(
            f"k = {', '.join(map(str, beyond))} is more than the {n_others:,} others "
            "that each item has: the metrics at it are over those."
        )
    subject = Subject(
        given=embeddings if is_index(embeddings) else points.embeddings,
        points=points,
        asked=asked,
        distance=measure,
        threshold=_checked_threshold(calibration, measure),
        calibration=calibration,
        class_mapping=class_mapping,
        render=render,
        ks=ks,
        confidence=confidence if intervals else None,
        layout=layout,
        max_points=max_points,
        max_errors=max_errors,
        seed=seed,
    )
    names_of(subject.classes, class_mapping)
    made = _made(subject, verbose)
    if layout is not None and len(points) > made["projector"].numbers["n_points"]:
        drawn = made["projector"].numbers["n_points"]
        notes.append(f"The projector draws {drawn:,} of {len(points):,} items.")
    text = page(title, _facts(subject), notes, list(made.values()))
    found = EmbeddingReport(
        text,
        {name: section.numbers for name, section in made.items()},
        {name: section.why for name, section in made.items() if section.why},
        tuple(notes),
    )
    if file is not None:
        found.save_html(file)
    return found


def _made(subject: Subject, verbose: int) -> dict[str, Section]:
    """The sections in the order of the page."""
    tqdm = optional_import("tqdm.auto", purpose="Showing progress", package="tqdm")
    wanted = dict(_SECTIONS)
    if subject.calibration is None:
        del wanted["calibration"]
    order = sorted(wanted, key=lambda name: name != "projector")
    made = {}
    for name in tqdm.tqdm(order, desc="Report", delay=2, disable=not verbose):
        made[name] = wanted[name](subject)
    return {name: made[name] for name in wanted}


def _facts(subject: Subject) -> str:
    """What was judged, as a table."""
    n_unlabelled = int((subject.codes < 0).sum())
    rows = [
        ["items", f"{len(subject.points):,}"],
        ["dimensions", f"{subject.points.embeddings.shape[1]:,}"],
        ["distance", subject.distance.name],
        ["classes", f"{len(subject.classes):,}"],
    ]
    if n_unlabelled:
        rows.append(["items without a label", f"{n_unlabelled:,}"])
    n_lone = int((subject.sizes == 1).sum())
    if n_lone:
        rows.append(["classes of one item", f"{n_lone:,}"])
    return table("What is judged", ["", "value"], rows)


def _checked_threshold(calibration: Any, measure: Distance) -> float | None:
    """The calibrated distance.

    Raises:
        ValueError: for a calibration of another distance.
        TypeError: for something that is no calibration.
    """
    if calibration is None:
        return None
    if not hasattr(calibration, "cutpoints") or not hasattr(calibration, "thresholds"):
        raise TypeError(
            "`calibration` must be what `model.calibrate` gives. Received: "
            f"{type(calibration).__name__}."
        )
    of = getattr(calibration, "settings", {}).get("distance")
    if of is not None and of != measure.name:
        raise ValueError(
            f"`calibration` was made with the distance {of!r}, the report has "
            f"{measure.name!r}. Pass `distance={of!r}`, or `calibration=None`."
        )
    threshold = threshold_of(calibration, "calibration")
    return threshold if threshold is not None and np.isfinite(threshold) else None


def _check_options(
    ks: Any,
    confidence: Any,
    max_items: Any,
    max_points: Any,
    max_errors: Any,
    seed: Any,
) -> None:
    if not ks:
        raise ValueError("`k` must be at least one integer. Received: k=[].")
    for one in ks:
        doors.as_k(one)
    check_confidence(confidence)
    for name, most in (("max_items", max_items), ("max_points", max_points)):
        if most is not None:
            doors.as_count(most, name, 3)
    doors.as_count(max_errors, "max_errors", 0)
    doors.as_count(seed, "seed", 0)
