"""How far a value promised at a threshold may be off on other queries."""

import math
from statistics import NormalDist

import numpy as np

from tensorflow_similarity.evaluators.threshold_targets import ThresholdTarget
from tensorflow_similarity.matchers import Counts

# Groups of neighbouring thresholds, of each kind of spacing.
_N_GROUPS = 100
# Near the chosen one in steps of a tenth of what chance moves a count by.
_NEAR = np.linspace(-6, 6, 121)
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
    the target chooses, and queries to judge by it. The interval is the value that was
    seen plus how much it changes from the one to the other, so that the optimism of a
    best value is in it too. A query comes as often as a Poisson
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
    seen = np.asarray(target.metric.compute(*counts))
    chosen_here = target.choose(seen)
    near = target.nearest(seen) if chosen_here is None else chosen_here
    ends = _group_ends(counts, near)
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
    changes: list[float] = []
    for start in range(0, n_resamples, block):
        n_drawn = min(block, n_resamples - start)
        drawn = [
            rng.poisson(step, (n_drawn, len(step))).cumsum(axis=1) for step in steps
        ]
        chosen, reached = np.transpose(
            [
                _chosen(target, tp.astype(np.float64), fp.astype(np.float64))
                for tp, fp in zip(*drawn, strict=True)
            ]
        )
        at = chosen.astype(np.int64)
        means = (right[at], wrong[at], n_others - wrong[at], n_matches - right[at])
        judged = [rng.poisson(scale * mean).astype(np.float64) for mean in means]
        shown = [_value(target, row) for row in np.transpose(judged)]
        changes += (np.array(shown) - reached).tolist()
    tail = 100 * (1 - confidence) / 2
    # A share of no query says nothing.
    said = [change for change in changes if change == change]
    ends_of = np.percentile(said, [tail, 100 - tail]) if said else (-math.inf, math.inf)
    value = float(seen[near])
    low, high = (value + float(end) for end in ends_of)
    n = target.trials(counts.at(near))
    if n is not None or (seen.min() >= 0 and seen.max() <= 1):
        low, high = max(low, 0.0), min(high, 1.0)
    if n:
        wilson = wilson_interval(value, n, confidence)
        low, high = min(low, wilson[0]), max(high, wilson[1])
    return low, high


def wilson_interval(share: float, n: float, confidence: float) -> tuple[float, float]:
    """Wilson's score interval of a share of n."""
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(share * (1 - share) / n + (z / (2 * n)) ** 2)
    return max(0.0, float(middle - half)), min(1.0, float(middle + half))


def _chosen(
    target: ThresholdTarget, tp: np.ndarray, fp: np.ndarray
) -> tuple[int, float]:
    """Position and value that the target chooses in one resample.

    Args:
        tp, fp: at the thresholds; the last entries are totals.
    """
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
    at = target.nearest(found) if chosen is None else chosen
    return at, float(found[at])


def _value(target: ThresholdTarget, judged: np.ndarray) -> float:
    tp, fp, tn, fn = (judged[i : i + 1] for i in range(4))
    counts = Counts(tp, fp, tn, fn, max(int(judged.sum()), 1))
    if target.trials(counts) == 0:
        return math.nan
    return float(np.ravel(target.metric.compute(*counts))[0])


def _group_ends(counts: Counts, chosen: int) -> np.ndarray:
    """Positions of thresholds, few but close together where it matters.

    Close around the chosen one, where few are accepted and where few are left, and
    evenly between: for right and for wrong labels.
    """
    n = len(counts.tp)
    if n <= 10 * _N_GROUPS:
        return np.arange(n)
    ends = [np.array([chosen, n - 1])]
    for part in (counts.tp, counts.fp):
        total, here = part[-1], part[chosen]
        if not total:
            continue
        few = np.geomspace(1, total, _N_GROUPS)
        even = np.linspace(0, total, _N_GROUPS)
        close = here + _NEAR * np.sqrt(min(here, total - here) + 1)
        wanted = np.concatenate([few, even, total - few, close])
        ends.append(np.searchsorted(part, wanted, side="left"))
    return np.unique(np.clip(np.concatenate(ends), 0, n - 1))
