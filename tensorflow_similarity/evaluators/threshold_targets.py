"""What a threshold should reach, from words or a mapping, and which one does."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tensorflow_similarity.classification_metrics import (
    ClassificationMetric,
    make_classification_metric,
)
from tensorflow_similarity.matchers import Counts

OPTIMAL = "optimal"
_WORDS = re.compile(r"\s*([^<>=≤≥\s]+)\s*(?:(<=|>=|≤|≥)\s*(\S+)\s*)?")
# Without a single failure in n trials, the rate is below 3 / n with 95 % confidence.
_RULE_OF_THREE = 3.0


@dataclass(frozen=True)
class ThresholdTarget:
    """What the value of a metric should be at a threshold.

    Args:
        name: of the cutpoint.
        metric: whose value is meant.
        value: at least this, at most for a metric to minimise. None means its best.
        strict: whether a target that cannot be met is an error, or an entry that says
        so.
    """

    name: str
    metric: ClassificationMetric
    value: float | None = None
    strict: bool = False

    def choose(self, values: np.ndarray) -> int | None:
        """Position of the threshold to take, None if none meets the target.

        Of equally good ones the last. Of those that meet a value: the first where
        loosening the threshold helps the metric, else the last.

        Args:
            values: of the metric, thresholds ascending.
        """
        if self.value is None:
            best = (
                values[::-1].argmax() if self.metric.maximize else values[::-1].argmin()
            )
            return len(values) - 1 - int(best)
        if self.metric.maximize:
            meets = np.flatnonzero(values >= self.value)
        else:
            meets = np.flatnonzero(values <= self.value)
        if not len(meets):
            return None
        first = self.metric.increasing == self.metric.maximize
        return int(meets[0] if first else meets[-1])

    def nearest(self, values: np.ndarray) -> int:
        """Position of the threshold that comes nearest to meeting the target."""
        return int(values.argmax() if self.metric.maximize else values.argmin())

    def n_needed(self) -> float:
        """How many queries it takes to support the target, by the rule of three.

        So many that, were there no failure among them, the target would hold with 95 %
        confidence. 1 for a best value; inf for a rate of exactly 0 or 1.
        """
        if self.value is None:
            return 1.0
        tail = 1.0 - self.value if self.metric.maximize else self.value
        return (
            float(math.ceil(round(_RULE_OF_THREE / tail, 6))) if tail > 0 else math.inf
        )

    def trials(self, counts: Counts) -> float | None:
        """Queries that the value at one threshold is a share of; None if no share."""
        found = self.metric.trials(*counts)
        return None if found is None else float(np.ravel(found)[0])


def as_targets(
    targets: "Mapping[str, Any] | str | Sequence[str] | None",
    metric: ClassificationMetric,
) -> list[ThresholdTarget]:
    """The targets that a user gave.

    Args:
        targets: words such as "fpr<=0.001", "precision>=0.99", "f1", one or several; or
            a mapping from names of cutpoints to values of the calibration metric, or to
            words.
        metric: the calibration metric.

    Raises:
        ValueError: for words that say nothing, unknown metrics, names that are taken,
            values that are no numbers.
        TypeError: for something else.
    """
    if targets is None:
        return []
    if isinstance(targets, str):
        targets = [targets]
    if not isinstance(targets, Mapping | Sequence):
        raise TypeError(
            "`thresholds_targets` must be words such as 'fpr<=0.001', a sequence of "
            f"them, or a mapping from names to values. Received: {targets!r}."
        )
    found = []
    pairs = (
        targets.items() if isinstance(targets, Mapping) else [(w, w) for w in targets]
    )
    for name, wanted in pairs:
        if not isinstance(name, str):
            raise TypeError(
                "`thresholds_targets` must have strings as names, or be words such as "
                f"'fpr<=0.001'. Received: {name!r}."
            )
        if isinstance(wanted, str):
            target = _from_words(wanted)
            name = target.name if name is wanted else name
            target = ThresholdTarget(name, target.metric, target.value, strict=True)
        else:
            value = _as_number(wanted, f"the value of {name!r}")
            target = ThresholdTarget(name, metric, value)
        found.append(target)
    names = [target.name for target in found]
    taken = {name for name in names if names.count(name) > 1}
    taken |= {OPTIMAL, "all"} & set(names)
    if taken:
        raise ValueError(
            "Each cutpoint needs a name of its own, and 'optimal' and 'all' are taken. "
            f"Received in `thresholds_targets`: {sorted(taken)}."
        )
    return found


def _from_words(words: str) -> ThresholdTarget:
    """The target that words such as "fpr<=0.001" or "f1" say."""
    read = _WORDS.fullmatch(words)
    if read is None:
        raise ValueError(
            "A target in words is a metric, '>=' or '<=', and a number: "
            "'precision>=0.99', 'fpr<=0.001'; or a metric alone for its best: 'f1'. "
            f"Received: {words!r}."
        )
    metric = make_classification_metric(read[1])
    if read[2] is None:
        return ThresholdTarget(metric.name, metric)
    at_least = read[2] in (">=", "≥")
    if at_least != metric.maximize:
        right, kind = (">=", "higher") if metric.maximize else ("<=", "lower")
        raise ValueError(
            f"{metric.name!r} is better when {kind}, so its target is written "
            f"'{metric.name}{right}{read[3]}'. Received: {words!r}."
        )
    value = _as_number(read[3], f"the number in {words!r}")
    return ThresholdTarget("".join(words.split()), metric, value)


def _as_number(value: Any, what: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(
            f"In `thresholds_targets`, {what} must be a number. Received: {value!r}."
        )
    return number
