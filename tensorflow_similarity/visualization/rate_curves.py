"""Error rates by threshold, from results or arrays: what ROC and DET plots draw."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from tensorflow_similarity.visualization.drawing import (
    as_values,
    same_length,
    threshold_of,
)


@dataclass(frozen=True, eq=False)
class RateCurve:
    """Rates of pairs accepted as "same", by ascending threshold.

    Args:
        fpr: accepted pairs of different classes, shape (n,), from 0 to 1.
        tpr: accepted pairs of the same class.
        thresholds: distances; None where they are not known.
        auc: area under `tpr` over `fpr`.
        eer: the rate where both errors are equal, on the line between two thresholds.
    """

    fpr: np.ndarray
    tpr: np.ndarray
    thresholds: np.ndarray | None
    auc: float
    eer: float

    def at(self, threshold: float) -> int | None:
        """Place of the largest threshold that is at most this one."""
        if self.thresholds is None:
            return None
        found = int(np.searchsorted(self.thresholds, threshold, side="right")) - 1
        # Below the first, too, nothing is accepted.
        return max(found, 0)

    @property
    def equal_errors(self) -> int:
        """Place where the larger of both error rates is smallest."""
        return int(np.maximum(self.fpr, 1 - self.tpr).argmin())


def as_rate_curves(results: Any) -> dict[str, RateCurve]:
    """Curves by name; "" names a single one.

    Args:
        results: an object with `fpr`, `tpr` and `thresholds`, arrays (fpr, tpr) or
            (fpr, tpr, thresholds), or a dict of such by name.

    Raises:
        ValueError: for rates that are not from 0 to 1 ascending, unequal lengths, or
            an empty dict.
        TypeError: for something else.
    """
    if isinstance(results, dict):
        if not results:
            raise ValueError("`results` must hold at least one curve. Received: {}.")
        return {str(name): _as_curve(one) for name, one in results.items()}
    return {"": _as_curve(results)}


def _as_curve(results: Any) -> RateCurve:
    if hasattr(results, "fpr") and hasattr(results, "tpr"):
        given = [results.fpr, results.tpr, getattr(results, "thresholds", None)]
    elif isinstance(results, list | tuple) and len(results) in (2, 3):
        given = [*results, None][:3]
    else:
        raise TypeError(
            "`results` must be what `evaluate_verification` gives, arrays (fpr, tpr) or"
            " (fpr, tpr, thresholds), or a dict of such by name. Received: "
            f"{type(results).__name__}."
        )
    arrays = {
        name: as_values(values, name)
        for name, values in zip(("fpr", "tpr", "thresholds"), given, strict=True)
        if values is not None
    }
    same_length(arrays)
    fpr, tpr, thresholds = arrays["fpr"], arrays["tpr"], arrays.get("thresholds")
    for name in ("fpr", "tpr"):
        rate = arrays[name]
        if rate.min() < 0 or rate.max() > 1 or (np.diff(rate) < 0).any():
            raise ValueError(
                f"`{name}` must be rates from 0 to 1 that never fall. Received values "
                f"from {rate[0]:g} to {rate[-1]:g}, least {rate.min():g}, most "
                f"{rate.max():g}."
            )
    if thresholds is not None and (np.diff(thresholds) < 0).any():
        raise ValueError(
            "`thresholds` must be distances in ascending order. Received falling ones: "
            "similarities? Negate them."
        )
    # Arrays may leave out the ends that every curve has.
    if fpr[0] or tpr[0]:
        fpr, tpr = np.append(0.0, fpr), np.append(0.0, tpr)
        thresholds = None if thresholds is None else np.append(-np.inf, thresholds)
    if fpr[-1] < 1 or tpr[-1] < 1:
        fpr, tpr = np.append(fpr, 1.0), np.append(tpr, 1.0)
        thresholds = None if thresholds is None else np.append(thresholds, np.inf)
    auc, eer = getattr(results, "auc", None), getattr(results, "eer", None)
    if auc is None:
        auc = (np.diff(fpr) * 0.5 * (tpr[1:] + tpr[:-1])).sum()
    if eer is None:
        eer = _equal_error_rate(fpr, 1 - tpr)
    return RateCurve(fpr, tpr, thresholds, float(auc), float(eer))


def _equal_error_rate(fpr: np.ndarray, fnr: np.ndarray) -> float:
    i = int((fpr >= fnr).argmax())
    before, after = fnr[i - 1] - fpr[i - 1], fpr[i] - fnr[i]
    return fpr[i - 1] + before / (before + after) * (fpr[i] - fpr[i - 1])


def marked_places(curves: dict[str, RateCurve], cutpoint: Any) -> dict[str, int]:
    """Where on each curve the cutpoint lies.

    Raises:
        ValueError: for a distance on a curve that does not know its thresholds.
    """
    if isinstance(cutpoint, str) and cutpoint == "eer":
        return {name: curve.equal_errors for name, curve in curves.items()}
    threshold = threshold_of(cutpoint, "cutpoint")
    places = {}
    for name, curve in curves.items():
        place = None if threshold is None else curve.at(threshold)
        if place is None:
            raise ValueError(
                "`cutpoint` cannot be marked: the curve has no thresholds. Pass "
                "results, or arrays (fpr, tpr, thresholds)."
            )
        places[name] = place
    return places


def point_words(curve: RateCurve, place: int) -> str:
    """What the mark says in the legend."""
    if curve.thresholds is None or not np.isfinite(curve.thresholds[place]):
        return "cutpoint"
    return f"distance {curve.thresholds[place]:.4g}"
