"""Distances up to which a neighbour is the same, found from judged queries."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tensorflow_similarity import classification_metrics
from tensorflow_similarity._core import doors
from tensorflow_similarity.classification_metrics import (
    ClassificationMetric,
    make_classification_metric,
)
from tensorflow_similarity.evaluators.calibration_classes import class_cutpoints
from tensorflow_similarity.evaluators.calibration_targets import (
    Sampling,
    achieved_by,
    has_right,
    refusing_all,
    threshold_counts,
)
from tensorflow_similarity.evaluators.judged_distances import as_judged
from tensorflow_similarity.evaluators.probability import fit_probability
from tensorflow_similarity.evaluators.threshold_targets import (
    OPTIMAL,
    ThresholdTarget,
    as_targets,
)
from tensorflow_similarity.matchers import Counts
from tensorflow_similarity.types import CalibrationResults

logger = logging.getLogger(__name__)

EXTRA_METRICS = ("precision", "recall")
_RESERVED = {"name", "value", "distance"}
_OPTIONS = {
    "probability",
    "distance_rounding",
    "n_new",
    "n_resamples",
    "confidence",
    "seed",
}
# Decimals that float64 has: more are no rounding.
_MOST_DECIMALS = 15


def calibrate_distances(
    distances: Any,
    matches: Any,
    thresholds_targets: Mapping[str, Any] | str | Sequence[str] | None = None,
    calibration_metric: str | ClassificationMetric = "f1",
    extra_metrics: Sequence[str | ClassificationMetric] = EXTRA_METRICS,
    *,
    matched_labels: Any = None,
    probability: str | None = None,
    distance_rounding: int | None = 8,
    n_new: int | None = None,
    n_resamples: int = 500,
    confidence: float = 0.95,
    seed: int = 0,
) -> CalibrationResults:
    """Cutpoints from the distance of each query and whether its label is right.

    Every distinct distance is a threshold; a query at it is accepted. "optimal" is the
    last of those with the best calibration metric. A target takes, of the thresholds
    that meet it, the first where loosening helps its metric, as with recall, else the
    last, as with precision and the false positive rate. O(n log n) time, O(n) memory.

    `achieved` says of each cutpoint which value it reached, over how many queries, and
    an interval in which the value on `n_new` other queries of the same kind lies with
    `confidence`: both the threshold, had other queries calibrated, and the new queries
    vary in it. A rate near 0 or 1 that so few queries cannot support (the rule of
    three: 3 / n without a failure) is an error where it was asked for in words, else a
    note and a line in the log; so is a target that no threshold reaches.

    Args:
        distances: of the queries to what they were given, shape (n,); inf without any.
        matches: bool, shape (n,): whether that was their own label.
        thresholds_targets: words such as "fpr<=0.001", "precision>=0.99" or "f1", one
            or several; or a mapping from names of cutpoints to values of the
            calibration metric, or to words. Defaults to None: "optimal" only.
        calibration_metric: name or `ClassificationMetric`. Defaults to "f1", which
            weighs precision and recall alike.
        extra_metrics: of the same kinds, reported beside it.
        matched_labels: n labels, those that the queries were given. With them each
            label that 50 queries were given, at least 5 of them rightly and 5 wrongly,
            gets cutpoints of its own. Defaults to None: global ones only.
        probability: "isotonic" or "platt" fits `CalibrationResults.probability`.
            Defaults to None: not fitted, which saves the import of scikit-learn.
        distance_rounding: decimals that distances are rounded to, here and by `match`.
            Defaults to 8, about what float32 tells apart. None: not at all.
        n_new: queries that the intervals are for. Defaults to None: n.
        n_resamples: pairs of samples an interval is drawn from; 0 for no intervals.
            Defaults to 500: other seeds move an end by a tenth of half the width.
        confidence: Defaults to 0.95.
        seed: of the drawing. Defaults to 0: the same intervals every time.

    Raises:
        ValueError: for unequal lengths, NaN, no query with a neighbour, unknown
            metrics, words that say nothing, or a target in words that cannot be reached
            or supported.

    Example:

    >>> results = calibrate_distances([0.1, 0.2, 0.3, 0.4], [True, True, False, True])
    >>> results.cutpoints["optimal"]["distance"]
    0.4
    >>> results.thresholds["precision"].round(2).tolist()
    [1.0, 1.0, 0.67, 0.75]
    """
    given, right = as_judged(distances, matches)
    metric = make_classification_metric(calibration_metric)
    metrics = as_metrics([metric, *_listed(extra_metrics)])
    targets = [
        ThresholdTarget(OPTIMAL, metric),
        *as_targets(thresholds_targets, metric),
    ]
    sampling = Sampling(n_new, n_resamples, confidence, seed).checked()
    distance_rounding = as_decimals(distance_rounding)
    given = rounded(given, distance_rounding)
    if not np.isfinite(given).any():
        raise ValueError(
            "There is nothing to calibrate on: no query has a neighbour with a label. "
            f"Received: {len(given)} queries."
        )
    thresholds, counts = threshold_counts(given, right)
    curves = {m.name: np.asarray(m.compute(*counts), np.float64) for m in metrics}
    _check_values(metric, curves[metric.name], thresholds)
    cutpoints: dict[str, dict[str, Any]] = {}
    achieved: dict[str, dict[str, Any]] = {}
    for target in targets:
        chosen, achieved[target.name] = achieved_by(
            target, thresholds, counts, sampling
        )
        if chosen is not None:
            cutpoints[target.name] = _cutpoint(
                target, chosen, thresholds, counts, metrics
            )
        elif target.value is None and not has_right(counts):
            cutpoints[target.name] = _cutpoint(
                target, 0, np.array([-np.inf]), refusing_all(counts), metrics
            )
    classes: dict[str, dict[Any, dict[str, Any]]] = {}
    if matched_labels is not None:
        labels = doors.as_labels(matched_labels, len(given), "matched_labels")
        classes = class_cutpoints(given, right, labels, targets, cutpoints)
    return CalibrationResults(
        cutpoints,
        {"distance": thresholds, **curves, "value": curves[metric.name]},
        achieved,
        classes,
        None if probability is None else fit_probability(given, right, probability),
        {
            "metric": classification_metrics.serialize(metric),
            "distance_rounding": distance_rounding,
        },
        {"metric": metric},
    )


def check_options(options: Mapping[str, Any]) -> None:
    """Raises TypeError for an argument that no function of calibration takes."""
    unknown = sorted(options.keys() - _OPTIONS)
    if unknown:
        raise TypeError(
            f"`calibrate` takes no argument {unknown[0]!r}. Beside those that it names "
            f"it takes {sorted(_OPTIONS)}; `per_class=True` makes cutpoints of single "
            "labels."
        )


def as_decimals(decimals: Any) -> int | None:
    """Decimals that distances are rounded to; None for not at all.

    Raises:
        ValueError: for anything but an integer from 0 to 15, or None.
    """
    if decimals is None:
        return None
    return doors.as_count(decimals, "distance_rounding", 0, _MOST_DECIMALS)


def rounded(distances: np.ndarray, decimals: int | None) -> np.ndarray:
    """Distances as float64 on the grid on which they are compared with thresholds."""
    distances, decimals = np.asarray(distances, np.float64), as_decimals(decimals)
    return distances if decimals is None else distances.round(decimals)


def as_metrics(
    metrics: Sequence[str | ClassificationMetric],
) -> list[ClassificationMetric]:
    """Metrics by name or as they are, each once.

    Raises:
        ValueError: for unknown names, or names that results use otherwise.
    """
    made = {m.name: m for m in map(make_classification_metric, _listed(metrics))}
    taken = _RESERVED & made.keys()
    if taken:
        raise ValueError(
            f"A metric cannot be called {sorted(taken)[0]!r}: results have something "
            "else under this key. Give it another `name`."
        )
    return list(made.values())


def _listed(metrics: Any) -> list[Any]:
    single = isinstance(metrics, str | ClassificationMetric)
    return [metrics] if single else list(metrics or ())


def _check_values(
    metric: ClassificationMetric, values: np.ndarray, thresholds: np.ndarray
) -> None:
    """Refuses values of the calibration metric among which there is no best."""
    if values.shape != thresholds.shape or not np.isfinite(values).all():
        received = (
            f"shape={values.shape}"
            if values.shape != thresholds.shape
            else f"{int((~np.isfinite(values)).sum())} of them NaN or infinite"
        )
        raise ValueError(
            f"The calibration metric {metric.name!r} must compute one finite value at "
            f"each of {len(thresholds)} thresholds. Received: {received}. Let its "
            "`compute` say what it is worth where it would divide by 0."
        )


def _cutpoint(
    target: ThresholdTarget,
    chosen: int,
    thresholds: np.ndarray,
    counts: Counts,
    metrics: list[ClassificationMetric],
) -> dict[str, Any]:
    found = {
        m.name: float(np.asarray(m.compute(*counts))[chosen])
        for m in {m.name: m for m in [target.metric, *metrics]}.values()
    }
    distance = float(thresholds[chosen])
    value = found[target.metric.name]
    return {"name": target.name, "value": value, "distance": distance, **found}
