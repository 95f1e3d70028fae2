"""Accuracy of pairs by thresholds that other pairs chose."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from tensorflow_similarity._core import doors
from tensorflow_similarity.evaluators.verification import as_pairs


@dataclass(frozen=True, eq=False)
class FoldAccuracies:
    """Accuracy of each fold, at the threshold that the others chose.

    Args:
        accuracies: float64, shape (n_folds,).
        thresholds: float64, shape (n_folds,).
    """

    accuracies: np.ndarray
    thresholds: np.ndarray

    @property
    def mean(self) -> float:
        """Mean accuracy over the folds."""
        return float(self.accuracies.mean())

    @property
    def standard_error(self) -> float:
        """Standard error of the mean: the deviation over the root of the folds."""
        n_folds = len(self.accuracies)
        return float(self.accuracies.std(ddof=1) / n_folds**0.5)

    def __repr__(self) -> str:
        return f"FoldAccuracies({self.mean:.4f} +- {self.standard_error:.4f})"


def k_fold_accuracy(
    distances: Any, same: Any, *, folds: Any = 10, seed: int = 0
) -> FoldAccuracies:
    """Accuracy of "same or not" over folds of pairs, as LFW is reported.

    For each fold the threshold is the one with the best accuracy on all the others: the
    lowest of the best, half way to the next distance that they have. A pair is accepted
    when its distance is at most the threshold. O(n (log n + n_folds)) time.

    Args:
        distances: finite numbers, smaller is closer, shape (n_pairs,).
        same: whether a pair is of one class, n_pairs booleans, or 0 and 1.
        folds: how many folds of equal size to draw, the share of same pairs alike in
            each; or n_pairs integers, the fold of each pair, where people or classes
            must not be in two folds. Defaults to 10, as LFW has.
        seed: of the draw. Not used with folds of your own.

    Returns:
        `FoldAccuracies`: `mean`, `standard_error`, and both by fold.

    Raises:
        ValueError: as `evaluate_pairs`; for fewer than two folds, more than pairs of
            either kind, or folds of another length.

    Example:
        >>> found = k_fold_accuracy(
        ...     [0.25, 1.25, 0.5, 1.0], [1, 0, 1, 0], folds=[0, 0, 1, 1]
        ... )
        >>> found.mean, found.thresholds.tolist()
        (1.0, [0.75, 0.75])

    Reference:
        Huang et al., "Labeled Faces in the Wild", technical report 07-49, 2007.
    """
    values, is_same = as_pairs(distances, same)
    fold_of = _as_folds(folds, is_same, seed)
    n_folds = int(fold_of.max()) + 1
    order = np.argsort(values)
    values, is_same, fold_of = values[order], is_same[order], fold_of[order]
    gains = np.where(is_same, 1, -1)
    accuracies, thresholds = np.empty(n_folds), np.empty(n_folds)
    for fold in range(n_folds):
        inside = fold_of == fold
        chosen = _best_threshold(values[~inside], gains[~inside])
        thresholds[fold] = chosen
        accuracies[fold] = np.mean((values[inside] <= chosen) == is_same[inside])
    return FoldAccuracies(accuracies, thresholds)


def _best_threshold(values: np.ndarray, gains: np.ndarray) -> float:
    """The lowest of the best thresholds; values ascend.

    Args:
        gains: what accepting the pair brings, 1 or -1.
    """
    last = np.flatnonzero(np.append(values[1:] != values[:-1], True))
    balance = np.cumsum(gains)[last]
    best = int(balance.argmax())
    if balance[best] <= 0:
        return -np.inf
    here = values[last[best]]
    following = values[last[best + 1]] if best + 1 < len(last) else here
    return float(here + (following - here) / 2)


def _as_folds(folds: Any, same: np.ndarray, seed: int) -> np.ndarray:
    """The fold of each pair, 0 to n_folds - 1, each with some pair."""
    if not isinstance(folds, int | np.integer) or isinstance(folds, bool):
        given = doors.as_array(folds)
        if given.shape != same.shape or given.dtype.kind not in "iu":
            raise ValueError(
                f"`folds` must be a number of folds, or {len(same)} integers, one for "
                f"each pair. Received: dtype={given.dtype}, shape={given.shape}."
            )
        names, numbers = np.unique(given, return_inverse=True)
        if len(names) < 2:
            raise ValueError(
                "`folds` must name at least two folds: one is judged by the threshold "
                "of the others. Received one."
            )
        return numbers
    fewest = min(int(same.sum()), int((~same).sum()))
    if not 2 <= folds <= fewest:
        raise ValueError(
            f"`folds` must be from 2 to {fewest}, the pairs of the rarer kind. "
            f"Received: folds={folds}."
        )
    generator = np.random.default_rng(seed)
    numbers = np.empty(len(same), np.int64)
    for kind in (same, ~same):
        places = np.flatnonzero(kind)
        numbers[generator.permutation(places)] = np.arange(len(places)) % folds
    return numbers
