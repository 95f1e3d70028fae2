"""A calibration in words, for those who ask for it."""

from collections.abc import Iterator, Mapping
from typing import Any

from tensorflow_similarity.types import CalibrationResults

_NAMES = ("name", "value", "distance")


def lines(results: CalibrationResults, digits: int = 2) -> Iterator[str]:
    """One line a cutpoint, with its metrics and its interval.

    Args:
        digits: decimals of the metrics.
    """
    yield "Calibration"
    for name, cut in results.cutpoints.items():
        yield f"  {name:<20}{row(cut, digits)}"
        entry = results.achieved.get(name, {})
        if entry.get("low") is not None:
            yield (
                f"  {'':<20}{entry['metric']} of {entry['n_new']:,} others: "
                f"{entry['low']:.4g} to {entry['high']:.4g} "
                f"({entry['confidence']:.0%})"
            )
        classes = results.class_cutpoints.get(name)
        if classes:
            n_own = sum(own["own"] for own in classes.values())
            yield f"  {'':<20}{n_own} of {len(classes)} labels have their own"
    for entry in results.achieved.values():
        if entry["note"]:
            yield f"  {entry['note']}"


def row(cut: Mapping[str, Any], digits: int = 2) -> str:
    """The distance of a cutpoint and its metrics."""
    metrics = [
        f"{name} {float(value):.{digits}f}"
        for name, value in cut.items()
        if name not in _NAMES
    ]
    return ", ".join([f"distance {float(cut['distance']):.6g}", *metrics])
