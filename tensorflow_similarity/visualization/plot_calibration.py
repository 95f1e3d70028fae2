"""What each threshold would give: metrics over distance, with the cutpoints."""

from typing import Any

import numpy as np

from tensorflow_similarity.visualization.drawing import (
    as_values,
    axes_for,
    finish,
    foreground,
    legend_name,
    legend_outside,
    line_style,
    pick,
    same_length,
    thinned,
    threshold_of,
)

_MARKS = ((0, (6, 3)), (0, (1, 2)), (0, (6, 2, 1, 2)), (0, (3, 1, 1, 1, 1, 1)))


def plot_calibration(
    calibration: Any,
    metrics: Any = None,
    *,
    cutpoints: Any = None,
    ax: Any = None,
    title: str | None = "Calibration",
    show: bool = False,
) -> Any:
    """Draws metrics over the distance up to which a neighbour counts as a match.

    Each cutpoint is an upright line with its name, in the order of their distances; the
    legend has their distances. Infinite distances are left out.

    Args:
        calibration: a `CalibrationResults`, or a dict of arrays with "distance",
            ascending, and metrics of that length, as its `thresholds`.
        metrics: names of the metrics to draw. Defaults to None: all but "value", which
            repeats the metric that was calibrated by.
        cutpoints: which to mark: names, or a dict from name to distance. Defaults to
            None: all that the calibration has.
        ax: axes to draw on. Defaults to None: a new figure.
        title: above the plot.
        show: whether to show the figure now.

    Returns:
        The axes.

    Raises:
        ValueError: for unknown metrics or cutpoints, unequal lengths, NaN, or arrays
            without "distance" or without a metric.
        TypeError: for something that is no calibration.
        ImportError: if Matplotlib is missing.

    Example:
        >>> ax = plot_calibration(
        ...     {"distance": [0.1, 0.2], "f1": [0.5, 0.8]}, cutpoints={"mine": 0.2}
        ... )
        >>> [line.get_label() for line in ax.get_lines()]
        ['f1', 'mine: distance 0.2']
    """
    thresholds = getattr(calibration, "thresholds", calibration)
    if not isinstance(thresholds, dict):
        raise TypeError(
            "`calibration` must be what `model.calibrate` gives, or a dict of arrays. "
            f"Received: {type(calibration).__name__}."
        )
    known = [name for name in thresholds if name not in ("distance", "value")]
    if "distance" not in thresholds or not known:
        raise ValueError(
            "`calibration` must have 'distance' and at least one metric. Received: "
            f"{sorted(thresholds)}."
        )
    wanted = known if metrics is None else pick(metrics, known, "metrics")
    arrays = {name: as_values(thresholds[name], name) for name in ["distance", *wanted]}
    same_length(arrays)
    marks = _marks(calibration, cutpoints)

    plt, ax = axes_for(ax, "Drawing a calibration", (7, 4.5))
    distance = arrays.pop("distance")
    finite = np.isfinite(distance)
    for i, (name, values) in enumerate(arrays.items()):
        x, y = thinned(distance[finite], values[finite])
        # A metric keeps its value until the next neighbour comes within reach.
        words = name.replace("_", " ")
        ax.plot(x, y, label=words, drawstyle="steps-post", **line_style(ax, i))
    named = sorted(marks.items(), key=lambda mark: mark[1])
    for i, (name, at) in enumerate(named):
        ax.axvline(
            at,
            color=foreground(ax),
            linestyle=_MARKS[i % len(_MARKS)],
            linewidth=1.2,
            label=f"{legend_name(name)}: distance {at:.4g}",
        )
    ax.set_xlabel("distance up to which the neighbour counts")
    ax.set_ylabel("metric")
    ax.set_ylim(-0.02, 1.02)
    ax.grid(alpha=0.25)
    legend_outside(ax, len(wanted) + len(named))
    return finish(plt, ax, title, show)


def _marks(calibration: Any, cutpoints: Any) -> dict[str, float]:
    """Finite distances of the cutpoints by name."""
    known = getattr(calibration, "cutpoints", {})
    if cutpoints is None:
        chosen = known
    elif isinstance(cutpoints, dict):
        chosen = cutpoints
    else:
        names = [cutpoints] if isinstance(cutpoints, str) else list(cutpoints)
        chosen = {name: known[name] for name in pick(names, list(known), "cutpoints")}
    found = {}
    for name, one in chosen.items():
        at = threshold_of(one, "cutpoints")
        if at is not None and np.isfinite(at):
            found[str(name)] = at
    return found
