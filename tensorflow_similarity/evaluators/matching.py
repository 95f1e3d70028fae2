"""Labels by calibrated thresholds, and how good they are."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tensorflow_similarity import matchers
from tensorflow_similarity._core import doors, label_rows
from tensorflow_similarity.evaluators.calibrate_distances import rounded
from tensorflow_similarity.evaluators.lookup_arrays import labels_and_distances
from tensorflow_similarity.matchers import (
    ClassificationMatch,
    make_classification_matcher,
)
from tensorflow_similarity.types import CalibrationResults, Lookup, Lookups

ALL = "all"


def match_lookups(
    lookups: Lookups | Sequence[Sequence[Lookup]],
    calibration: CalibrationResults,
    cutpoint: str = "optimal",
    no_match_label: int | str = -1,
    matcher: str | ClassificationMatch | None = None,
    k: int | None = None,
) -> "list[Any] | dict[str, list[Any]]":
    """The label of each query, or `no_match_label` where nothing is near enough.

    Args:
        lookups: neighbours of the queries: `Lookups`, or a list of lists of `Lookup`.
        calibration: from queries to the same items by the same distance.
        cutpoint: name of a cutpoint, or "all". Defaults to "optimal".
        no_match_label: stands where there is no match.
        matcher: Defaults to None: that of the calibration.
        k: how many neighbours count. Defaults to None: as many as calibrated, or all
            if the calibration does not say.

    Returns:
        A list of n_queries integers or strings; with "all" a dict of such lists by the
        names of cutpoints.

    Raises:
        ValueError: for an unknown cutpoint; the message lists the known ones.
        TypeError: for something that is not a calibration, or not lookups.

    Example:

    >>> from tensorflow_similarity.evaluators import calibrate_lookups
    >>> near, far = Lookup(1, 0.1, "cat"), Lookup(1, 0.7, "dog")
    >>> results = calibrate_lookups(["cat", "owl"], [[near], [far]])
    >>> match_lookups([[near], [far]], results, no_match_label="none")
    ['cat', 'none']
    """
    names = cutpoint_names(calibration, cutpoint)
    derive = matcher_of(calibration, matcher)
    k = calibration.settings.get("k") if k is None else k
    k = None if k is None else doors.as_k(k)
    labels, distances = labels_and_distances(lookups)
    labels, distances = labels[:, :k], distances[:, :k].astype(np.float64)
    if not labels.size:  # nobody asks, or nobody has a neighbour
        nothing = {name: [no_match_label] * len(labels) for name in names}
        return nothing if cutpoint == ALL else nothing[cutpoint]
    labels, distances = derive.match(labels, distances)
    distances = rounded(distances, calibration.settings.get("distance_rounding"))
    made = {
        name: _labels(
            labels, distances <= limits(calibration, name, labels), no_match_label
        )
        for name in names
    }
    return made if cutpoint == ALL else made[cutpoint]


def cutpoint_names(calibration: CalibrationResults, cutpoint: str) -> list[str]:
    """The cutpoints that are meant: one, or those of "all".

    Raises:
        ValueError: for an unknown name.
        TypeError: for something that is not a calibration, or not a name.
    """
    if not isinstance(calibration, CalibrationResults):
        raise TypeError(
            "`calibration` must be what `calibrate` returned. Received: "
            f"{type(calibration).__name__}."
        )
    if not isinstance(cutpoint, str):
        raise TypeError(
            "`cutpoint` must be the name of one cutpoint, or 'all'. Received: "
            f"cutpoint={cutpoint!r}."
        )
    if cutpoint == ALL:
        return list(calibration.cutpoints)
    calibration.cutpoint(cutpoint)
    return [cutpoint]


def limits(
    calibration: CalibrationResults, cutpoint: str, labels: np.ndarray
) -> np.ndarray:
    """The largest distance at which each of these labels is taken, shape (n,)."""
    found = np.full(len(labels), calibration.cutpoint(cutpoint)["distance"])
    for label, entry in calibration.class_cutpoints.get(cutpoint, {}).items():
        if entry["own"]:
            found[labels == label] = entry["distance"]
    return found


def matcher_of(
    calibration: CalibrationResults, matcher: str | ClassificationMatch | None
) -> ClassificationMatch:
    """The matcher that is given, else that of the calibration."""
    if matcher is not None:
        return make_classification_matcher(matcher)
    if "matcher" in calibration.objects:
        return make_classification_matcher(calibration.objects["matcher"])
    config = calibration.settings.get("matcher")
    if isinstance(config, dict):
        return matchers.deserialize(config)
    return make_classification_matcher(config or "match_nearest")


def _labels(labels: np.ndarray, near: np.ndarray, no_match_label: Any) -> list[Any]:
    taken = (near & ~label_rows.missing(labels)).tolist()
    plain = labels.tolist()
    return [
        label if is_near else no_match_label
        for label, is_near in zip(plain, taken, strict=True)
    ]
