"""Queries that the index knows against queries that it does not, at every threshold."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tensorflow_similarity._core import doors
from tensorflow_similarity.evaluators.verification_results import FARS, check_rate

NO_RANK = 0


@dataclass(frozen=True, eq=False)
class OpenSetResults:
    """Identification where some queries belong to nothing in the index.

    A query raises an alarm at threshold t when its nearest neighbour is within t. With
    U unknown queries, whose class the index does not have, and K known ones,

        FAR(t)    = unknown queries that raise an alarm / U
        DIR_r(t)  = known queries whose class is among the r nearest classes, and has an
                    item within t / K

    DIR_1 is the correct classification rate (CCR) of the OSCR curve, and FAR its false
    positive rate. Queries at one distance pass a threshold together.

    Args:
        known_distances: float64, shape (n_known,): to the nearest neighbour, inf
            without one.
        unknown_distances: the same of unknown queries, shape (n_unknown,).
        right_distances: of known queries, to the nearest item of their own class, inf
            without one among the neighbours.
        right_ranks: the rank of that class among the classes that were found, 1 for the
            nearest, 0 without one.
        n_ranks: up to which rank is known.

    Reference:
        Phillips, Grother, Micheals, "Evaluation Methods in Face Recognition", Handbook
        of Face Recognition, 2011 (DIR at a FAR); Dhamija, Günther, Boult, "Reducing
        Network Agnostophobia", NeurIPS 2018 (OSCR).
    """

    known_distances: np.ndarray
    unknown_distances: np.ndarray
    right_distances: np.ndarray
    right_ranks: np.ndarray
    n_ranks: int

    @property
    def n_known(self) -> int:
        """Queries whose class the index has."""
        return len(self.known_distances)

    @property
    def n_unknown(self) -> int:
        """Queries whose class the index does not have."""
        return len(self.unknown_distances)

    @cached_property
    def thresholds(self) -> np.ndarray:
        """The distinct nearest distances, ascending, -inf before them and inf last."""
        nearest = np.concatenate([self.known_distances, self.unknown_distances])
        return np.unique(np.concatenate([nearest, [-np.inf, np.inf]]))

    @cached_property
    def far(self) -> np.ndarray:
        """False alarm rate at each threshold: the x of the OSCR curve."""
        return _share_within(self.unknown_distances, self.thresholds)

    @cached_property
    def ccr(self) -> np.ndarray:
        """Correct classification rate at each threshold: the y of the OSCR curve."""
        return self._identified(1, self.thresholds)

    @cached_property
    def oscr_area(self) -> float:
        """Area under `ccr` over `far`.

        A known query is told right and lies nearer than an unknown one: the share of
        such pairs of queries, those at one distance half. 1 only where every known
        query is told right.
        """
        far, ccr = self.far, self.ccr
        return float((np.diff(far) * 0.5 * (ccr[1:] + ccr[:-1])).sum())

    @cached_property
    def auroc(self) -> float:
        """Area under the ROC curve of known against unknown by the nearest distance.

        Whether the class is right does not count. Queries without a neighbour are
        behind all others.
        """
        detected = _share_within(self.known_distances, self.thresholds)
        return float((np.diff(self.far) * 0.5 * (detected[1:] + detected[:-1])).sum())

    @property
    def closed_set_accuracy(self) -> float:
        """Share of known queries whose nearest neighbour is of their class."""
        return float(np.mean(self.right_ranks == 1))

    def dir_at_far(self, far: float, rank: int = 1) -> float:
        """Detection and identification rate at the largest threshold within a FAR.

        Args:
            far: false alarm rate, above 0 and at most 1.
            rank: among how many nearest classes the right one must be.

        Raises:
            ValueError: for a `far` out of range or below one unknown query among all,
                or a `rank` beyond the neighbours.
        """
        rank = doors.as_k(rank)
        if rank > self.n_ranks:
            raise ValueError(
                f"`rank` must be at most {self.n_ranks}, the neighbours of each query. "
                f"Received: rank={rank}. Look up more neighbours."
            )
        threshold = np.array([self.threshold_at_far(far)])
        return float(self._identified(rank, threshold)[0])

    def threshold_at_far(self, far: float) -> float:
        """The largest of `thresholds` whose false alarm rate is at most `far`.

        Raises:
            ValueError: for a `far` out of range or below one unknown query among all.
        """
        check_rate(far, self.n_unknown, "unknown queries")
        place = int(np.searchsorted(self.far, far, side="right")) - 1
        return float(self.thresholds[place])

    def summary(self, fars: Sequence[float] | None = None) -> dict[str, float]:
        """The numbers by name, floats.

        Args:
            fars: false alarm rates to report `dir_at_far` for. Defaults to None: those
                of 0.1, 0.01, ... 1e-6 that the number of unknown queries supports.

        Raises:
            ValueError: for one of `fars` that it does not support.
        """
        if fars is None:
            fars = [far for far in FARS if far >= 1 / self.n_unknown]
        numbers = {
            "n_known": float(self.n_known),
            "n_unknown": float(self.n_unknown),
            "closed_set_accuracy": self.closed_set_accuracy,
            "auroc": self.auroc,
            "oscr_area": self.oscr_area,
        }
        return numbers | {f"dir_at_far_{far:g}": self.dir_at_far(far) for far in fars}

    def __repr__(self) -> str:
        return (
            f"OpenSetResults(n_known={self.n_known}, n_unknown={self.n_unknown}, "
            f"auroc={self.auroc:.4f}, oscr_area={self.oscr_area:.4f})"
        )

    def _identified(self, rank: int, thresholds: np.ndarray) -> np.ndarray:
        within_rank = (self.right_ranks != NO_RANK) & (self.right_ranks <= rank)
        right = self.right_distances[within_rank]
        return _share_within(right, thresholds, self.n_known)


def _share_within(
    distances: np.ndarray, thresholds: np.ndarray, n: int | None = None
) -> np.ndarray:
    """Share of n, by default of all, that is at most each threshold."""
    counts = np.searchsorted(np.sort(distances), thresholds, side="right")
    return counts / (n or len(distances))
