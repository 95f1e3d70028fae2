"""What is known of pairs at every threshold: ROC and DET curves and their numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

FARS = (0.1, 0.01, 0.001, 0.0001, 0.00001, 0.000001)


@dataclass(frozen=True, eq=False)
class VerificationResults:
    """Pairs that are told "same" at each threshold, and what follows from it.

    A pair is accepted as "same" when its distance is at most the threshold, so all
    pairs at one distance are accepted together. With S pairs of the same class and D of
    different classes, at threshold t

        tpr = TAR = accepted pairs of the same class / S         fnr = FNMR = 1 - tpr
        fpr = FAR = FMR = accepted pairs of different classes / D

    The ROC curve is (`fpr`, `tpr`), the DET curve (`fpr`, `fnr`), both from the
    threshold that accepts nothing to the one that accepts all.

    Numbers that were counted by a histogram have an error bound beside them, in which
    the rounding of the distances is counted in: the number that the exact distances
    would give is within it. The bound is 0 where pairs were measured one by one.

    Args:
        thresholds: float64, ascending from -inf, shape (n,).
        same_within: int64, shape (n,): accepted pairs of the same class.
        different_within: int64, shape (n,): accepted pairs of different classes.
        slack: by how many places a count may be late or early, for pairs counted by
            bins. Defaults to None: each threshold is the distance of some pairs, and
            the counts are exact.

    Example:
        >>> from tensorflow_similarity.evaluators import evaluate_pairs
        >>> found = evaluate_pairs([0.1, 0.2, 0.3, 0.4], [True, True, False, True])
        >>> round(found.auc, 4), round(found.tar_at_far(1.0), 4)
        (0.6667, 1.0)

    Reference:
        Martin et al., "The DET Curve in Assessment of Detection Task Performance",
        Eurospeech 1997.
    """

    thresholds: np.ndarray
    same_within: np.ndarray
    different_within: np.ndarray
    slack: int | None = None

    @property
    def n_same(self) -> int:
        """Pairs of the same class."""
        return int(self.same_within[-1])

    @property
    def n_different(self) -> int:
        """Pairs of different classes."""
        return int(self.different_within[-1])

    @cached_property
    def tpr(self) -> np.ndarray:
        """True positive rate (TAR) at each threshold."""
        return self.same_within / self.n_same

    @cached_property
    def fpr(self) -> np.ndarray:
        """False positive rate (FAR, FMR) at each threshold."""
        return self.different_within / self.n_different

    @cached_property
    def fnr(self) -> np.ndarray:
        """False negative rate (FNMR) at each threshold."""
        return (self.n_same - self.same_within) / self.n_same

    @cached_property
    def auc(self) -> float:
        """Area under the ROC curve: a same pair is nearer than a different one.

        The share of pairs of pairs in which that holds; those at one distance count
        half.
        """
        gained = np.diff(self.same_within)
        beyond = self.n_different - 0.5 * (
            self.different_within[1:] + self.different_within[:-1]
        )
        return float(gained @ beyond / self.n_same / self.n_different)

    @cached_property
    def auc_error(self) -> float:
        """Bound on |`auc` - the area by exact distances|."""
        if self.slack is None:
            return 0.0
        gained = np.diff(self.same_within)
        # Pairs so many bins apart are in the right order, whatever the rounding.
        surely = self.n_different - self._later(self.different_within)[1:]
        perhaps = self.n_different - self._earlier(self.different_within)[:-1]
        scale = 1.0 / self.n_same / self.n_different
        low, high = float(gained @ surely * scale), float(gained @ perhaps * scale)
        return max(high - self.auc, self.auc - low)

    @cached_property
    def eer(self) -> float:
        """Equal error rate: where `fpr` and `fnr` are equal.

        Between the two thresholds where they cross, both go along a straight line: the
        line of the ROC curve.
        """
        i = self._crossing
        before = self.fnr[i - 1] - self.fpr[i - 1]
        after = self.fpr[i] - self.fnr[i]
        share = before / (before + after)
        return float(self.fpr[i - 1] + share * (self.fpr[i] - self.fpr[i - 1]))

    @cached_property
    def eer_error(self) -> float:
        """Bound on |`eer` - the rate by exact distances|."""
        if self.slack is None:
            return 0.0
        # The smaller of both rates is at most the EER at every threshold, the larger
        # at least.
        low = np.minimum(self._earlier(self.fpr), self._later(self.fnr)).max()
        high = np.maximum(self._later(self.fpr), self._earlier(self.fnr)).min()
        return float(max(high - self.eer, self.eer - low))

    @property
    def eer_threshold(self) -> float:
        """The threshold at which the larger of `fpr` and `fnr` is smallest."""
        return float(self.thresholds[np.maximum(self.fpr, self.fnr).argmin()])

    @cached_property
    def best_accuracy(self) -> float:
        """The largest share of pairs that one threshold tells right, same or different.

        Where most pairs are of different classes, saying "different" always is right
        that often already: compare with `n_different / (n_same + n_different)`.
        """
        right = self.same_within + (self.n_different - self.different_within)
        return float(right.max() / (self.n_same + self.n_different))

    @property
    def best_accuracy_threshold(self) -> float:
        """The lowest threshold that has `best_accuracy`."""
        right = self.same_within - self.different_within
        return float(self.thresholds[right.argmax()])

    @cached_property
    def best_accuracy_error(self) -> float:
        """Bound on |`best_accuracy` - the accuracy by exact distances|."""
        if self.slack is None:
            return 0.0
        same, different = self.same_within, self.different_within
        surely = self._earlier(same) - self._later(different)
        perhaps = self._later(same)[1:] - self._earlier(different)[:-1]
        n_pairs = self.n_same + self.n_different
        low = (self.n_different + surely.max()) / n_pairs
        high = (self.n_different + max(perhaps.max(), 0)) / n_pairs
        return float(max(high - self.best_accuracy, self.best_accuracy - low))

    def tar_at_far(self, far: float) -> float:
        """True accept rate at the largest threshold whose FAR is at most `far`.

        Nothing is interpolated: the rate is that of a threshold which exists.

        Args:
            far: false accept rate, above 0 and at most 1.

        Raises:
            ValueError: for a `far` out of range, or smaller than one pair of different
                classes among all.
        """
        return float(self.tpr[self._index_at(far)])

    def tar_error(self, far: float) -> float:
        """Bound on |`tar_at_far(far)` - the rate by exact distances|."""
        value = self.tpr[self._index_at(far)]
        if self.slack is None:
            return 0.0
        sure = np.searchsorted(self._later(self.fpr), far, side="right") - 1
        low = self._earlier(self.tpr)[sure] if sure >= 0 else 0.0
        beyond = int(np.searchsorted(self._earlier(self.fpr), far, side="right"))
        high = self._later(self.tpr)[min(beyond, len(self.tpr) - 1)]
        return float(max(high - value, value - low))

    def fnmr_at_fmr(self, fmr: float) -> float:
        """False non-match rate where the false match rate is at most `fmr`.

        One minus `tar_at_far`, in the words of ISO/IEC 19795.

        Raises:
            ValueError: as `tar_at_far`.
        """
        return float(self.fnr[self._index_at(fmr)])

    def threshold_at_far(self, far: float) -> float:
        """The largest threshold whose FAR is at most `far`.

        -inf if even the nearest distance accepts more.

        Raises:
            ValueError: as `tar_at_far`.
        """
        return float(self.thresholds[self._index_at(far)])

    def summary(self, fars: Sequence[float] | None = None) -> dict[str, float]:
        """The numbers by name, floats.

        Args:
            fars: false accept rates to report `tar_at_far` for. Defaults to None:
                those of 0.1, 0.01, ... 1e-6 that the number of pairs supports.

        Raises:
            ValueError: for one of `fars` that it does not support.
        """
        if fars is None:
            fars = [far for far in FARS if far >= 1 / self.n_different]
        numbers = {
            "n_same": float(self.n_same),
            "n_different": float(self.n_different),
            "auc": self.auc,
            "auc_error": self.auc_error,
            "eer": self.eer,
            "eer_error": self.eer_error,
            "eer_threshold": self.eer_threshold,
            "best_accuracy": self.best_accuracy,
            "best_accuracy_error": self.best_accuracy_error,
            "best_accuracy_threshold": self.best_accuracy_threshold,
        }
        for far in fars:
            numbers[f"tar_at_far_{far:g}"] = self.tar_at_far(far)
            numbers[f"tar_error_at_far_{far:g}"] = self.tar_error(far)
        return numbers

    def __repr__(self) -> str:
        auc, eer = f"{self.auc:.4f}", f"{self.eer:.4f}"
        if self.slack is not None:
            auc += f" +- {self.auc_error:.1g}"
            eer += f" +- {self.eer_error:.1g}"
        return (
            f"VerificationResults(n_same={self.n_same}, n_different={self.n_different},"
            f" auc={auc}, eer={eer})"
        )

    @property
    def _crossing(self) -> int:
        """The first threshold with fpr >= fnr; never the one that accepts nothing."""
        return int(np.argmax(self.fpr >= self.fnr))

    def _earlier(self, values: np.ndarray) -> np.ndarray:
        """The values `slack` places before, the first where there are none."""
        return values[np.maximum(np.arange(len(values)) - (self.slack or 0), 0)]

    def _later(self, values: np.ndarray) -> np.ndarray:
        """The values `slack` places behind, the last where there are none."""
        places = np.arange(len(values)) + (self.slack or 0)
        return values[np.minimum(places, len(values) - 1)]

    def _index_at(self, far: float) -> int:
        check_rate(far, self.n_different)
        return int(np.searchsorted(self.fpr, far, side="right")) - 1


def check_rate(
    far: float, n_negatives: int, of: str = "pairs of different classes"
) -> None:
    """Refuses a false accept rate that so few pairs or queries cannot show.

    Raises:
        ValueError: with the number that it takes.
    """
    is_number = isinstance(far, int | float | np.number) and far is not True
    if not is_number or not 0 < far <= 1:
        raise ValueError(
            f"The false accept rate must be above 0 and at most 1. Received: {far!r}."
        )
    if 1 / n_negatives > far:
        needed = int(np.ceil(1 / far))
        raise ValueError(
            f"A false accept rate of {far:g} cannot be measured with {n_negatives:,} "
            f"{of}: one of them is a rate of {1 / n_negatives:.2g} already. It takes "
            f"{needed:,} at least, and {30 * needed:,} for a rate known within about "
            "30 % (the rule of 30)."
        )
