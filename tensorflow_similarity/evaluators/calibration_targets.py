"""What a cutpoint achieves, and whether the data can support what was asked for."""

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np

from tensorflow_similarity._core import doors
from tensorflow_similarity.evaluators.threshold_intervals import prediction_interval
from tensorflow_similarity.evaluators.threshold_targets import ThresholdTarget
from tensorflow_similarity.matchers import Counts, count

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sampling:
    """How the interval of a cutpoint is drawn.

    Args:
        n_new: queries that the interval is for. None: as many as calibrate.
        n_resamples: pairs of samples drawn; 0 for no intervals.
        confidence: share of samples for which it holds.
        seed: of the drawing.
    """

    n_new: int | None = None
    n_resamples: int = 500
    confidence: float = 0.95
    seed: int = 0

    def checked(self) -> "Sampling":
        """This in Python's own numbers, if they make sense; else ValueError."""
        n_new = self.n_new
        if n_new is not None:
            n_new = doors.as_count(n_new, "n_new", 1)
        n_resamples = doors.as_count(self.n_resamples, "n_resamples", 0)
        seed = doors.as_count(self.seed, "seed", 0)
        number = isinstance(self.confidence, int | float | np.floating)
        if not number or not 0 < self.confidence < 1:
            raise ValueError(
                "`confidence` must be a number between 0 and 1. Received: "
                f"confidence={self.confidence!r}."
            )
        return Sampling(n_new, n_resamples, float(self.confidence), seed)


def threshold_counts(
    distances: np.ndarray, right: np.ndarray
) -> tuple[np.ndarray, Counts]:
    """Every distinct finite distance, ascending, and the counts there."""
    thresholds = np.unique(distances[np.isfinite(distances)])
    return thresholds, count(distances, right, thresholds)


def achieved_by(
    target: ThresholdTarget, thresholds: np.ndarray, counts: Counts, sampling: Sampling
) -> tuple[int | None, dict[str, Any]]:
    """Position of the target's threshold, None without one, and what is known of it."""
    if target.value is None and not has_right(counts):
        return None, _unfounded(target, counts, sampling)
    values = np.asarray(target.metric.compute(*counts), np.float64)
    chosen = target.choose(values)
    at = target.nearest(values) if chosen is None else chosen
    n = target.trials(counts.at(at))
    entry: dict[str, Any] = {
        "reached": chosen is not None,
        "metric": target.metric.name,
        "value": float(values[at]),
        "n": float(counts.total) if n is None else n,
        "low": None,
        "high": None,
        "n_new": sampling.n_new or counts.total,
        "confidence": sampling.confidence,
        "supported": True,
        "note": "",
    }
    note = _note(target, chosen is not None, entry["value"], n, float(thresholds[at]))
    if note:
        entry["supported"], entry["note"] = False, note
        if target.strict:
            raise ValueError(note)
        logger.warning("%s", note)
    if chosen is not None and sampling.n_resamples:
        entry["low"], entry["high"] = prediction_interval(
            target,
            counts,
            entry["n_new"],
            sampling.n_resamples,
            sampling.confidence,
            sampling.seed,
        )
    return chosen, entry


def has_right(counts: Counts) -> bool:
    """Whether any query is given its own label, near or far."""
    return bool(counts.tp[-1] + counts.fn[-1])


def refusing_all(counts: Counts) -> Counts:
    """The counts where nothing is accepted, shape (1,) each."""
    last = counts.at(len(counts.tp) - 1)
    none = np.zeros(1)
    return Counts(none, none, last.fp + last.tn, last.tp + last.fn, counts.total)


def _unfounded(
    target: ThresholdTarget, counts: Counts, sampling: Sampling
) -> dict[str, Any]:
    """What is known of a best value where no query is given its own label."""
    note = (
        f"None of {counts.total} queries is given its own label, so nothing says up to "
        f"which distance a label is right, and {target.name!r} accepts nothing. Are "
        "the labels of queries and index those of the same classes?"
    )
    if target.strict:
        raise ValueError(note)
    logger.warning("%s", note)
    value = np.ravel(target.metric.compute(*refusing_all(counts)))[0]
    return {
        "reached": False,
        "metric": target.metric.name,
        "value": float(value),
        "n": float(counts.total),
        "low": None,
        "high": None,
        "n_new": sampling.n_new or counts.total,
        "confidence": sampling.confidence,
        "supported": False,
        "note": note,
    }


def _note(
    target: ThresholdTarget, reached: bool, value: float, n: float | None, at: float
) -> str:
    """What stands against the target, "" if nothing does."""
    metric, wanted = target.metric, target.value
    if wanted is None:
        return ""
    relation = ">=" if metric.maximize else "<="
    asked = f"{metric.name}{relation}{wanted:g}"
    said = repr(asked) if asked == target.name else f"{target.name!r} ({asked})"
    if not reached:
        return (
            f"The target {said} is not reached by any threshold: the best is "
            f"{metric.name}={value:.6g}, at distance {at:.6g}. Ask for less, or "
            "calibrate with a better model."
        )
    needed = target.n_needed()
    if n is None or n >= needed:
        return ""
    if not np.isfinite(needed):
        return (
            f"The target {said} cannot be supported by any number of queries: that a "
            f"rate is exactly {wanted:g} is never shown by a sample. Ask for a value "
            "short of it."
        )
    limit = min(1.0, 3 / n) if n else 1.0
    possible = 1 - limit if metric.maximize else limit
    return (
        f"The target {said} is not supported by these data: {metric.name} is a share "
        f"of {n:,.0f} queries here, and it takes at least {needed:,.0f} (the rule of "
        "three: without a single failure among n, a rate of failures below 3 / n is "
        "shown with 95 % confidence). Calibrate with more queries, or ask for "
        f"{metric.name}{relation}{possible:.2g}."
    )
