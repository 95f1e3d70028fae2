"""A threshold for each query, from its own neighbours."""

from typing import Any

import numpy as np

from tensorflow_similarity._core import doors, label_rows
from tensorflow_similarity.evaluators.lookup_arrays import as_lookups, only_where
from tensorflow_similarity.types import Lookups

_RULES = ("ratio", "cohort")
_ROUNDING = 1e-5


def adaptive_threshold(
    lookups: Any,
    rule: str = "ratio",
    *,
    ratio: float = 0.8,
    n_std: float = 2.0,
    n_near: int = 1,
) -> np.ndarray:
    """A distance threshold for each query, relative to its own neighbours.

    One threshold for all queries is too strict where items are sparse and too lax where
    they are dense. Two rules:

    - "ratio": t = ratio * distance of the nearest neighbour of another class than the
      first, as Lowe's test for key points. Without one among the neighbours, t is the
      last neighbour's distance; so take k above the size of a class. Neighbours without
      a label are passed over.
    - "cohort": t = mean - n_std * standard deviation of the distances of the neighbours
      after the first `n_near`, the query's cohort of others; needs no labels. It is
      adaptive T-normalisation, read as a threshold.

    A query without a neighbour, and by "cohort" one without a cohort, gets -inf:
    nothing is near enough.

    Args:
        lookups: `Lookups`, or a list of lists of `Lookup`, nearest first.
        rule: "ratio" or "cohort". Defaults to "ratio".
        ratio: above 0. Defaults to 0.8, Lowe's.
        n_std: how many standard deviations nearer than the cohort. Defaults to 2.0.
        n_near: neighbours that may be matches, at least 1, and are not in the cohort.
            Defaults to 1.

    Returns:
        float64, shape (n_queries,), in the unit of the distances.

    Raises:
        ValueError: for an unknown rule, numbers out of range, or the rule "ratio" for
            negative distances, as those of inner products.
        TypeError: for something that is not lookups.

    Example:
        >>> lookups = Lookups(
        ...     ids=np.array([[1, 2, 3]]),
        ...     distances=np.array([[0.1, 0.3, 0.5]]),
        ...     labels=np.array([[7, 7, 8]]),
        ... )
        >>> adaptive_threshold(lookups).round(3).tolist()
        [0.4]

    Reference:
        Lowe, "Distinctive Image Features from Scale-Invariant Keypoints", IJCV 2004,
        section 7.1; Sturim and Reynolds, "Speaker Adaptive Cohort Selection for Tnorm
        in Text-Independent Speaker Verification", ICASSP 2005.
    """
    lookups = as_lookups(lookups)
    if rule not in _RULES:
        raise ValueError(f"`rule` must be one of {_RULES}. Received: rule={rule!r}.")
    ratio = doors.as_number(
        ratio, "ratio", "a number above 0", lambda value: 0 < value < np.inf
    )
    n_std = doors.as_number(
        n_std, "n_std", "a number of at least 0", lambda value: 0 <= value < np.inf
    )
    n_near = doors.as_count(n_near, "n_near")
    found = lookups.found
    if not found.size:
        return np.full(len(lookups), -np.inf)
    distances = np.where(found, lookups.distances, 0.0).astype(np.float64)
    if rule == "cohort":
        cohort = found & (np.cumsum(found, axis=1) > n_near)
        n = np.maximum(cohort.sum(axis=1), 1)
        mean = distances.sum(axis=1, where=cohort) / n
        square = ((distances - mean[:, None]) ** 2).sum(axis=1, where=cohort) / n
        return np.where(cohort.any(axis=1), mean - n_std * np.sqrt(square), -np.inf)
    # Rounding carries a distance of 0 a little below it.
    if distances.min() < -_ROUNDING:
        raise ValueError(
            "`rule='ratio'` needs distances of at least 0: a share of a negative one, "
            f"as of inner products, is farther away. Received: {distances.min():.4g}. "
            "Use `rule='cohort'`."
        )
    rows = np.arange(len(distances))
    labelled = found & ~label_rows.missing(lookups.labels)
    first = lookups.labels[rows, labelled.argmax(axis=1)]
    others = labelled & (lookups.labels != first[:, None])
    nearest = distances[rows, others.argmax(axis=1)]
    last = np.where(found.any(axis=1), distances.max(axis=1), -np.inf)
    return np.where(others.any(axis=1), ratio * nearest, last)


def within_threshold(lookups: Any, thresholds: Any) -> Lookups:
    """The lookups without the neighbours that are farther than their query's threshold.

    Args:
        lookups: `Lookups`, or a list of lists of `Lookup`.
        thresholds: one number, or one for each query, as `adaptive_threshold` answers.

    Returns:
        `Lookups` of the same shape; a neighbour beyond has `found` False, distance inf,
        and no id and no label. What the index knows of the others stays at hand.

    Raises:
        ValueError: for another number of thresholds, or NaN.

    Example:
        >>> lookups = Lookups(
        ...     np.array([[1, 2]]), np.array([[0.1, 0.3]]), np.array([[7, 8]])
        ... )
        >>> within_threshold(lookups, 0.2).found.tolist()
        [[True, False]]
    """
    lookups = as_lookups(lookups)
    limits = np.asarray(thresholds, np.float64)
    if limits.shape not in ((), (len(lookups),)) or np.isnan(limits).any():
        raise ValueError(
            f"`thresholds` must be one number or one for each of {len(lookups)} "
            f"queries, and not NaN. Received: shape={limits.shape}."
        )
    limits = np.broadcast_to(limits, (len(lookups),))[:, None]
    # A distance of 0.1 is a float32, which lies above the 0.1 of float64.
    with np.errstate(over="ignore"):
        limits = limits.astype(lookups.distances.dtype)
    found = lookups.found & (lookups.distances <= limits)
    return only_where(lookups, found)
