"""How far a value promised at a threshold may be off on other queries."""

import math
from statistics import NormalDist

import numpy as np

from tensorflow_similarity.evaluators.threshold_targets import ThresholdTarget
from tensorflow_similarity.matchers import Counts

# Groups of neighbouring thresholds of one kind of spacing. With 300 of each the step is
# a fifth of what chance moves a count by, at any count up to a million.
_N_GROUPS = 300
_BLOCK_NUMBERS = 2_000_000


def prediction_interval(
    target: ThresholdTarget,
    counts: Counts,
    n_new: int,
    n_resamples: int,
    confidence: float,
    seed: int,
) -> tuple[float, float]:
    """Where the value lies on `n_new` other queries, with this confidence.

    Two things vary: the calibration queries, and with them the threshold; and the new
    queries. Each resample draws both: queries to calibrate on, among whose thresholds
    the target chooses, and queries to judge by it. A query comes as often as a Poisson
    variable of mean 1 says, so a group of neighbours in distance is drawn by one
    number: memory and time do not grow with the number of queries beyond some
    thousands.

    The interval is never narrower than Wilson's at the counts that were seen, which
    knows that no failure among n does not mean that there are none.

    Args:
        target: chooses the threshold.
        counts: at all thresholds, ascending.
        n_new: queries to be judged.
        n_resamples: how many pairs of samples are drawn.
        confidence: share of samples for which the interval holds, 0 to 1.
        seed: of the drawing.

    Reference:
        Efron and Tibshirani, "An Introduction to the Bootstrap", 1993; Wilson,
        "Probable Inference, the Law of Succession, and Statistical Inference", JASA
        1927.
    """
    ends = _group_ends(counts)
    n_matches = float(counts.tp[-1] + counts.fn[-1])
    n_others = float(counts.fp[-1] + counts.tn[-1])
    right, wrong = counts.tp[ends], counts.fp[ends]
    steps = [
        np.diff(right, prepend=0.0, append=n_matches),
        np.diff(wrong, prepend=0.0, append=n_others),
    ]
    rng = np.random.default_rng(seed)
    scale = n_new / counts.total
    block = max(1, _BLOCK_NUMBERS // (len(ends) + 1))
    values = []
    for start in range(0, n_resamples, block):
        n_drawn = min(block, n_resamples - start)
        drawn = [
            rng.poisson(step, (n_drawn, len(step))).cumsum(axis=1) for step in steps
        ]
        chosen = [
            _chosen(target, tp.astype(np.float64), fp.astype(np.float64))
            for tp, fp in zip(*drawn, strict=True)
        ]
        at = np.array(chosen)
        means = (right[at], wrong[at], n_others - wrong[at], n_matches - right[at])
        judged = [rng.poisson(scale * mean).astype(np.float64) for mean in means]
        values += [_value(target, row) for row in np.transpose(judged)]
    tail = 100 * (1 - confidence) / 2
    # A share of no query says nothing.
    said = [value for value in values if value == value]
    low, high = np.percentile(said, [tail, 100 - tail]) if said else (0.0, 1.0)
    chosen_here = target.choose(np.asarray(target.metric.compute(*counts)))
    if chosen_here is not None:
        here = counts.at(chosen_here)
        n = target.trials(here)
        if n:
            value = float(np.ravel(target.metric.compute(*here))[0])
            wilson = wilson_interval(value, n, confidence)
            low, high = min(low, wilson[0]), max(high, wilson[1])
    return float(low), float(high)


def wilson_interval(share: float, n: float, confidence: float) -> tuple[float, float]:
    """Wilson's score interval of a share of n."""
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(share * (1 - share) / n + (z / (2 * n)) ** 2)
    return max(0.0, float(middle - half)), min(1.0, float(middle + half))


def _chosen(target: ThresholdTarget, tp: np.ndarray, fp: np.ndarray) -> int:
    """Position that the target chooses in one resample; the last entries are totals."""
    found = np.asarray(
        target.metric.compute(
            tp[:-1],
            fp[:-1],
            fp[-1] - fp[:-1],
            tp[-1] - tp[:-1],
            max(int(tp[-1] + fp[-1]), 1),
        )
    )
    chosen = target.choose(found)
    return target.nearest(found) if chosen is None else chosen


def _value(target: ThresholdTarget, judged: np.ndarray) -> float:
    tp, fp, tn, fn = (judged[i : i + 1] for i in range(4))
    counts = Counts(tp, fp, tn, fn, max(int(judged.sum()), 1))
    if target.trials(counts) == 0:
        return math.nan
    return float(np.ravel(target.metric.compute(*counts))[0])


def _group_ends(counts: Counts) -> np.ndarray:
    """Positions of thresholds, few but close together for counts and what remains.

    Close where few are accepted, where few are left, and evenly between: for right and
    for wrong labels.
    """
    n = len(counts.tp)
    if n <= 6 * _N_GROUPS:
        return np.arange(n)
    ends = [np.array([n - 1])]
    for part in (counts.tp, counts.fp):
        total = part[-1]
        if not total:
            continue
        near = np.geomspace(1, total, _N_GROUPS)
        even = np.linspace(0, total, _N_GROUPS)
        wanted = np.concatenate([near, even, total - near])
        ends.append(np.searchsorted(part, wanted, side="left"))
    return np.unique(np.clip(np.concatenate(ends), 0, n - 1))
