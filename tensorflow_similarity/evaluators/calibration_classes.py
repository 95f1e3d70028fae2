"""Thresholds of single labels, where the data bear them."""

from typing import Any

import numpy as np

from tensorflow_similarity._core import label_rows
from tensorflow_similarity.evaluators.calibration_targets import threshold_counts
from tensorflow_similarity.evaluators.threshold_targets import ThresholdTarget
from tensorflow_similarity.matchers import Counts

# A label's own threshold rests on at least so many queries, right and wrong ones.
_CLASS_QUERIES = 50
_CLASS_EACH = 5


def class_cutpoints(
    distances: np.ndarray,
    right: np.ndarray,
    labels: np.ndarray,
    targets: list[ThresholdTarget],
    cutpoints: dict[str, dict[str, Any]],
) -> dict[str, dict[Any, dict[str, Any]]]:
    """For each cutpoint those of single labels, where the data bear them."""
    found = np.isfinite(distances) & ~label_rows.missing(labels)
    distances, right, labels = distances[found], right[found], labels[found]
    classes, numbers = np.unique(labels, return_inverse=True)
    order = np.argsort(numbers, kind="stable")
    parts = np.split(order, np.cumsum(np.bincount(numbers))[:-1])
    made: dict[str, dict[Any, dict[str, Any]]] = {name: {} for name in cutpoints}
    for label, rows in zip(classes.tolist(), parts, strict=True):
        n_right = int(right[rows].sum())
        enough = len(rows) >= _CLASS_QUERIES
        enough = enough and min(n_right, len(rows) - n_right) >= _CLASS_EACH
        if enough:
            thresholds, counts = threshold_counts(distances[rows], right[rows])
        for target in targets:
            if target.name not in cutpoints:
                continue
            distance = _own(target, thresholds, counts) if enough else None
            common = cutpoints[target.name]["distance"]
            made[target.name][label] = {
                "distance": common if distance is None else distance,
                "n": len(rows),
                "own": distance is not None,
            }
    return made


def _own(
    target: ThresholdTarget, thresholds: np.ndarray, counts: Counts
) -> float | None:
    """The threshold of a single label; None if its data do not bear the target."""
    chosen = target.choose(np.asarray(target.metric.compute(*counts)))
    if chosen is None:
        return None
    n = target.trials(counts.at(chosen))
    if n is not None and n < target.n_needed():
        return None
    return float(thresholds[chosen])
