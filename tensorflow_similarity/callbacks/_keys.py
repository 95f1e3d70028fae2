"""What the values that a callback adds to the logs are called."""

from collections.abc import Sequence
from typing import Any

import numpy as np


def as_metrics(metrics: Any) -> list[Any]:
    """Retrieval metrics as a list.

    Raises:
        ValueError: for something else among them.
    """
    made = [metrics] if hasattr(metrics, "compute") else list(metrics or ())
    for one in made:
        if not (hasattr(one, "compute") and hasattr(one, "k")):
            raise ValueError(
                "`retrieval_metrics` must be RetrievalMetric objects, such as "
                f"`RecallAtK(k=1)`. Received: {one!r}."
            )
    return made


def as_thresholds(distance_thresholds: Any) -> np.ndarray:
    """Distinct thresholds, ascending, float64; infinity alone for None.

    Raises:
        ValueError: for anything but numbers.
    """
    given = np.inf if distance_thresholds is None else distance_thresholds
    try:
        thresholds = np.unique(np.asarray(given, np.float64))
    except (TypeError, ValueError):
        thresholds = np.empty(0)
    if not len(thresholds) or np.isnan(thresholds).any():
        raise ValueError(
            "`distance_thresholds` must be one number or several, not NaN. Received: "
            f"{distance_thresholds!r}."
        )
    return thresholds


def threshold_names(thresholds: np.ndarray) -> list[str]:
    """Thresholds as short as they stay distinct."""
    names = [f"{threshold:g}" for threshold in thresholds]
    return (
        names if len(set(names)) == len(names) else list(map(repr, thresholds.tolist()))
    )


def check_names(metrics: Sequence[Any]) -> None:
    """Raises ValueError for two metrics of one name."""
    names = [metric.name for metric in metrics]
    doubles = sorted({name for name in names if names.count(name) > 1})
    if doubles:
        raise ValueError(
            f"Two metrics have the name {doubles[0]!r}, and one would overwrite the "
            "other in the logs. Leave one out, or give it another `name=`."
        )
