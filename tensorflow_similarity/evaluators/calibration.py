"""Calibrating and matching by thresholds: over plain embeddings, without a model."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tensorflow_similarity import matchers
from tensorflow_similarity._core import doors, label_rows
from tensorflow_similarity.classification_metrics import ClassificationMetric
from tensorflow_similarity.evaluators.calibrate_distances import (
    EXTRA_METRICS,
    calibrate_distances,
    check_options,
)
from tensorflow_similarity.evaluators.judged_distances import lookup_arrays
from tensorflow_similarity.evaluators.matching import (
    cutpoint_names,
    match_lookups,
)
from tensorflow_similarity.matchers import (
    ClassificationMatch,
    make_classification_matcher,
)
from tensorflow_similarity.search import LinearSearch
from tensorflow_similarity.types import CalibrationResults, Lookup, Lookups


def calibrate(
    embeddings: Any,
    labels: Any,
    query_embeddings: Any = None,
    query_labels: Any = None,
    *,
    distance: Any = "cosine",
    thresholds_targets: Mapping[str, Any] | str | Sequence[str] | None = None,
    k: int = 1,
    calibration_metric: str | ClassificationMetric = "f1",
    matcher: str | ClassificationMatch = "match_nearest",
    extra_metrics: Sequence[str | ClassificationMetric] = EXTRA_METRICS,
    per_class: bool = False,
    **options: Any,
) -> CalibrationResults:
    """Distances up to which the label of neighbours is taken, from labelled queries.

    Each query gets a label and a distance from its k nearest items, by exact search and
    the matcher; `calibrate_distances` says what is made of them. Queries of classes
    that are not indexed belong here: they alone show how often an unknown thing is
    taken for a known one. Give them their own labels, or None.

    Args:
        embeddings: indexed items, shape (n, dim).
        labels: n integers or strings.
        query_embeddings: shape (n_queries, dim). Defaults to None: the items are the
            queries, each left out of its own answer.
        query_labels: n_queries integers or strings, given with `query_embeddings`.
        distance: name of a distance or a `Distance`. Defaults to "cosine", the default
            of the losses; pass the one the model was trained with.
        k: neighbours that the matcher sees.
        matcher: name or `ClassificationMatch`. Defaults to "match_nearest". One of your
            own, or a metric, must be registered with Keras to be saved.
        per_class: whether labels with enough queries get cutpoints of their own.
        thresholds_targets, calibration_metric, extra_metrics: as those of
            `calibrate_distances`.
        options: `probability`, `distance_rounding`, `n_new`, `n_resamples`,
            `confidence` and `seed` of `calibrate_distances`.

    Raises:
        ValueError: for wrong arrays, all labels alike, a target in words that cannot be
            reached or supported, or unknown names.
        TypeError: for labels that are neither integers nor strings, or of two kinds;
            for other `options`.

    Example:

    >>> results = calibrate(
    ...     [[0.0], [1.0]],
    ...     ["a", "b"],
    ...     [[0.1], [0.9], [0.7], [5.0]],
    ...     ["a", "b", "b", "c"],
    ...     distance="euclidean",
    ... )
    >>> round(results.cutpoints["optimal"]["distance"], 3)
    0.3
    """
    check_options(options)
    lookups = _neighbours(
        embeddings, labels, query_embeddings, query_labels, distance, k
    )
    asked = labels if query_embeddings is None else query_labels
    results = calibrate_lookups(
        asked,
        lookups,
        thresholds_targets,
        calibration_metric,
        matcher,
        extra_metrics,
        k=k,
        per_class=per_class,
        **options,
    )
    results.settings["distance"] = _name_of(distance)
    return results


def calibrate_lookups(
    query_labels: Any,
    lookups: Lookups | Sequence[Sequence[Lookup]],
    thresholds_targets: Mapping[str, Any] | str | Sequence[str] | None = None,
    calibration_metric: str | ClassificationMetric = "f1",
    matcher: str | ClassificationMatch = "match_nearest",
    extra_metrics: Sequence[str | ClassificationMetric] = EXTRA_METRICS,
    *,
    k: int | None = None,
    per_class: bool = False,
    **options: Any,
) -> CalibrationResults:
    """Cutpoints from the neighbours of labelled queries, whoever found them.

    Args:
        query_labels: n_queries integers or strings, None for a query of no class.
        lookups: their neighbours: `Lookups`, or a list of lists of `Lookup`.
        k: how many neighbours count. Defaults to None: all there are.

    The others as those of `calibrate`.

    Raises:
        ValueError, TypeError: as `calibrate`.
    """
    check_options(options)
    k = None if k is None else doors.as_k(k)
    found, distances = lookup_arrays(lookups)
    found, distances = found[:, :k], distances[:, :k]
    derive = make_classification_matcher(matcher)
    judged = derive.judge(query_labels, found, distances)
    own = doors.as_labels(query_labels, len(found), "query_labels")
    _check_several(own, found)
    results = calibrate_distances(
        judged.distances,
        judged.matches,
        thresholds_targets,
        calibration_metric,
        extra_metrics,
        matched_labels=judged.labels if per_class else None,
        **options,
    )
    results.settings.update(matcher=matchers.serialize(derive))
    results.settings["k"] = found.shape[1] if k is None else k
    results.objects["matcher"] = derive
    return results


def match(
    embeddings: Any,
    labels: Any,
    query_embeddings: Any,
    calibration: CalibrationResults,
    cutpoint: str = "optimal",
    no_match_label: int | str = -1,
    *,
    distance: Any = None,
    k: int | None = None,
    matcher: str | ClassificationMatch | None = None,
) -> "list[Any] | dict[str, list[Any]]":
    """The label of each query, or `no_match_label` where nothing is near enough.

    Args:
        embeddings: indexed items, shape (n, dim).
        labels: n integers or strings.
        query_embeddings: shape (n_queries, dim).
        calibration: what `calibrate` returned for these items and this distance.
        cutpoint: name of a cutpoint, or "all". Defaults to "optimal".
        no_match_label: stands where there is no match.
        distance: as `calibrate` was given it. Defaults to None: that of the
            calibration, "cosine" if that names none.
        k, matcher: Defaults to None: those of the calibration.

    Returns:
        A list of n_queries integers or strings; with "all" a dict of such lists by the
        names of cutpoints.

    Raises:
        ValueError: for an unknown cutpoint; the message lists the known ones; or for
            another distance than that of the calibration.
        TypeError: for something that is not a calibration.
    """
    cutpoint_names(calibration, cutpoint)
    distance = _distance_of(calibration, distance)
    if _is_empty(query_embeddings):
        return match_lookups([], calibration, cutpoint, no_match_label, matcher)
    k = calibration.settings.get("k", 1) if k is None else k
    queries = doors.as_embeddings(query_embeddings, None, "query_embeddings")
    nobody = np.full(len(queries), None)
    lookups = _neighbours(embeddings, labels, queries, nobody, distance, k)
    return match_lookups(lookups, calibration, cutpoint, no_match_label, matcher, k)


def _is_empty(rows: Any) -> bool:
    """Whether there is no row: of an array, a tensor or a list."""
    if isinstance(rows, list | tuple):
        return not rows
    return tuple(getattr(rows, "shape", ()))[:1] == (0,)


def _name_of(distance: Any) -> str:
    return LinearSearch(distance, 1).distance.name


def _distance_of(calibration: CalibrationResults, distance: Any) -> Any:
    """The distance to measure by: that of the calibration, and no other."""
    known = calibration.settings.get("distance")
    if distance is None:
        return known or "cosine"
    given = _name_of(distance)
    if known not in (None, given):
        raise ValueError(
            f"The calibration holds for the distance {known!r}, by which it was found. "
            f"Received: distance={given!r}. Leave `distance` out, or calibrate by it."
        )
    return distance


def _neighbours(
    embeddings: Any,
    labels: Any,
    query_embeddings: Any,
    query_labels: Any,
    distance: Any,
    k: Any,
) -> Lookups:
    """The k nearest items of each query by exact search, itself left out."""
    k = doors.as_k(k)
    items = doors.as_embeddings(embeddings, None)
    item_labels = doors.as_labels(labels, len(items))
    alone = query_embeddings is None
    if alone != (query_labels is None):
        raise ValueError(
            "`query_embeddings` and `query_labels` belong together. Received only "
            f"{'`query_labels`' if alone else '`query_embeddings`'}."
        )
    queries = items
    if not alone:
        queries = doors.as_embeddings(
            query_embeddings, items.shape[1], "query_embeddings"
        )
        doors.as_labels(query_labels, len(queries), "query_labels")
    if len(items) <= alone or not len(queries):
        raise ValueError(
            f"There is nothing to search: {len(items)} items and {len(queries)} queries"
            f"{', and no item is its own neighbour' if alone else ''}."
        )
    search = LinearSearch(distance, items.shape[1])
    search.batch_add(items, np.arange(len(items)))
    ids, distances = search.batch_lookup(queries, min(k + alone, len(items)))
    if alone:
        keep = ids != np.arange(len(items))[:, None]
        # Where copies pushed an item out of its own answer, the last one goes.
        keep[keep.all(axis=1), -1] = False
        ids = ids[keep].reshape(len(items), -1)
        distances = distances[keep].reshape(len(items), -1)
    return Lookups(ids, distances, item_labels[ids])


def _check_several(query_labels: np.ndarray, found: np.ndarray) -> None:
    """Raises ValueError if queries and neighbours all have one label."""
    given = [part[~label_rows.missing(part)] for part in (query_labels, found)]
    if not len(given[1]):
        raise ValueError(
            "No neighbour has a label, so there is nothing to match. Index with "
            "labels: `index(x, y)`."
        )
    if label_rows.missing(query_labels).any():
        return
    first = given[1][:1].tolist()[0]
    if (given[0] == first).all() and (given[1] == first).all():
        raise ValueError(
            f"All queries and neighbours have the one label {first!r}, so no threshold "
            "can be judged: nothing could be told wrong. Calibrate with queries of "
            "several classes, some of which may be unknown to the index."
        )
