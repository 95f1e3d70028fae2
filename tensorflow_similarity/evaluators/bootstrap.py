"""Intervals of means by drawing the queries again."""

from collections.abc import Callable
from typing import Any

import numpy as np

from tensorflow_similarity._core import doors

# Counts of resamples held at a time, about 16 MB as float64.
_BLOCK_COUNTS = 2_000_000


def bootstrap_interval(
    values: Any,
    weights: Any = None,
    statistic: str | Callable[[np.ndarray], float] = "mean",
    n_resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> tuple[Any, Any]:
    """The percentile bootstrap interval of a mean of per-query values.

    n values are drawn with replacement `n_resamples` times; the interval runs from the
    (1 - confidence) / 2 quantile of the means to the quantile as far from the end:

        mean_b = sum_i c_bi * w_i * v_i / sum_i c_bi * w_i,
        c_b = how often each value was drawn, sum_i c_bi = n

    It says how much the figure would move with other queries of the same kind, not
    with another model or another index. One value, or equal ones, give an interval of
    no width. Values outside what was seen cannot appear: after 50 queries without an
    error the interval of the error rate is [0, 0], however little 50 queries prove.

    Args:
        values: numbers, shape (n,); or (n, m), m figures of the same queries, which
            are drawn together.
        weights: n numbers of at least 0, one of them positive. Defaults to None: all
            1. One over the size of the class makes a mean of class means.
        statistic: "mean", or a function of the drawn values, shape (n,), that gives a
            number: slower, and without weights. Defaults to "mean".
        n_resamples: int of at least 1. Defaults to 1000: the ends then move by about
            a twentieth of the width with the seed.
        confidence: float between 0 and 1. Defaults to 0.95.
        seed: int; the same seed gives the same interval.

    Returns:
        low, high: floats, or float64 arrays of shape (m,) for values (n, m).

    Raises:
        ValueError: for no values, NaN or infinity, another number of weights or
            negative ones, or options out of range.

    Example:
        >>> low, high = bootstrap_interval([0.0] * 30 + [1.0] * 70)
        >>> 0.58 < low < 0.64 < 0.76 < high < 0.82
        True

    Reference:
        Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13.
    """
    columns = _as_columns(values)
    given = _as_weights(weights, len(columns))
    _check_options(n_resamples, confidence)
    random = np.random.default_rng(doors.as_count(seed, "seed", 0))
    if callable(statistic):
        if weights is not None or columns.shape[1] != 1:
            raise ValueError(
                "`statistic` as a function takes values of shape (n,) and no `weights`."
                f" Received: values of shape {np.shape(values)}, weights={weights!r}."
            )
        estimates = _drawn(statistic, columns[:, 0], n_resamples, random)
    elif statistic == "mean":
        estimates = _means(columns, given, n_resamples, random)
    else:
        raise ValueError(
            "`statistic` must be 'mean' or a function of the drawn values. Received: "
            f"statistic={statistic!r}."
        )
    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile(estimates, [tail, 1.0 - tail], axis=0)
    if np.ndim(values) == 1:
        return float(low[0]), float(high[0])
    return low, high


def _means(
    columns: np.ndarray,
    weights: np.ndarray | None,
    n_resamples: int,
    random: np.random.Generator,
) -> np.ndarray:
    """Weighted means of each resample, shape (n_resamples, m)."""
    n = len(columns)
    weights = np.ones(n) if weights is None else weights
    # Weights of no draw in a resample would be 0 / 0: their mean is then the sample's.
    centre = weights @ columns / weights.sum()
    sums = np.column_stack([weights[:, None] * (columns - centre), weights])
    totals = np.empty((n_resamples, sums.shape[1]))
    step = max(1, _BLOCK_COUNTS // n)
    for start in range(0, n_resamples, step):
        height = min(step, n_resamples - start)
        draws = random.integers(0, n, (height, n))
        draws += np.arange(height)[:, None] * n
        counts = np.bincount(draws.ravel(), minlength=height * n).reshape(height, n)
        totals[start : start + height] = counts.astype(np.float64) @ sums
    weight = totals[:, -1:]
    shift = np.divide(
        totals[:, :-1], weight, out=np.zeros_like(totals[:, :-1]), where=weight > 0
    )
    # Rounding must not take a mean out of the range of its values.
    return np.clip(centre + shift, columns.min(axis=0), columns.max(axis=0))


def _drawn(
    statistic: Callable[[np.ndarray], float],
    values: np.ndarray,
    n_resamples: int,
    random: np.random.Generator,
) -> np.ndarray:
    n = len(values)
    estimates = [
        statistic(values[random.integers(0, n, n)]) for _ in range(n_resamples)
    ]
    return np.array(estimates, np.float64)[:, None]


def _as_columns(values: Any) -> np.ndarray:
    array = doors.as_array(values)
    if array.dtype.kind not in "fiub" or array.ndim not in (1, 2) or not array.size:
        raise ValueError(
            "`values` must be numbers of shape (n,) or (n, m), at least one. Received: "
            f"dtype={array.dtype}, shape={array.shape}."
        )
    array = array.astype(np.float64)
    if not np.isfinite(array).all():
        raise ValueError("`values` must be finite. Received NaN or infinity.")
    return array[:, None] if array.ndim == 1 else array


def _as_weights(weights: Any, n: int) -> np.ndarray | None:
    if weights is None:
        return None
    array = doors.as_array(weights)
    fits = array.dtype.kind in "fiub" and array.shape == (n,)
    if not fits or not (array >= 0).all() or not 0 < array.sum() < np.inf:
        raise ValueError(
            f"`weights` must be {n} finite numbers of at least 0, one of them positive."
            f" Received: dtype={array.dtype}, shape={array.shape}."
        )
    return array.astype(np.float64)


def _check_options(n_resamples: Any, confidence: Any) -> None:
    whole = isinstance(n_resamples, int | np.integer) and n_resamples is not True
    if not whole or n_resamples < 1:
        raise ValueError(
            "`n_resamples` must be an integer of at least 1. Received: "
            f"n_resamples={n_resamples!r}."
        )
    check_confidence(confidence)


def check_confidence(confidence: Any) -> None:
    """Refuses a confidence that is not between 0 and 1."""
    number = isinstance(confidence, float | int | np.floating)
    if not number or not 0 < confidence < 1:
        raise ValueError(
            "`confidence` must be a number between 0 and 1, such as 0.95. Received: "
            f"confidence={confidence!r}."
        )
