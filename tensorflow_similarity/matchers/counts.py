"""How many queries a threshold tells right and wrong."""

from typing import NamedTuple

import numpy as np


class Counts(NamedTuple):
    """Queries by what happens to them at each threshold, shape (n_thresholds,) each.

    Args:
        tp: accepted, and the label is right.
        fp: accepted, and the label is wrong.
        tn: refused, and the label would have been wrong.
        fn: refused, and the label would have been right.
        total: int, all queries.
    """

    tp: np.ndarray
    fp: np.ndarray
    tn: np.ndarray
    fn: np.ndarray
    total: int

    def at(self, index: int) -> "Counts":
        """Those of one threshold, shape (1,) each."""
        one = slice(index, index + 1)
        return Counts(
            self.tp[one], self.fp[one], self.tn[one], self.fn[one], self.total
        )


def count(distances: np.ndarray, matches: np.ndarray, thresholds: np.ndarray) -> Counts:
    """Counts at each threshold, in O(n log n) time and O(n) memory.

    A query whose distance is infinite has no neighbour: no threshold accepts it.

    Args:
        distances: of the queries, shape (n,).
        matches: bool, shape (n,): whether the label that a query would get is its own.
        thresholds: shape (n_thresholds,); a query at the threshold is accepted.
    """
    found = np.isfinite(distances)
    tp = _accepted(distances[matches & found], thresholds)
    fp = _accepted(distances[~matches & found], thresholds)
    n_matches = float(np.count_nonzero(matches))
    return Counts(tp, fp, len(matches) - n_matches - fp, n_matches - tp, len(matches))


def _accepted(distances: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    ordered = np.sort(distances)
    return np.searchsorted(ordered, thresholds, side="right").astype(np.float64)
