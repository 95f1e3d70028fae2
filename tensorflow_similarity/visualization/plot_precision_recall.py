"""Precision over recall, with the cutpoint."""

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
    mark_point,
    same_length,
    thinned,
    threshold_of,
)


def plot_precision_recall(
    results: Any,
    *,
    cutpoint: Any = None,
    ax: Any = None,
    title: str | None = "Precision and recall",
    show: bool = False,
) -> Any:
    """Draws precision over recall by threshold; thin lines join points of equal F1.

    Points at which nothing is accepted have no precision and are left out of
    `VerificationResults`.

    Args:
        results: a `CalibrationResults` with "precision" and "recall"; a
            `VerificationResults`; arrays (precision, recall) or (precision, recall,
            distances); or a dict of such by name, to compare.
        cutpoint: the threshold to mark: a distance, one of `calibration.cutpoints`, or
            a calibration (its "optimal"). Defaults to None: "optimal" of calibrations,
            no mark otherwise.
        ax: axes to draw on. Defaults to None: a new figure.
        title: above the plot.
        show: whether to show the figure now.

    Returns:
        The axes.

    Raises:
        ValueError: for values that are not from 0 to 1, unequal lengths, a calibration
            without these metrics, or a cutpoint on arrays without distances.
        TypeError: for results of another kind.
        ImportError: if Matplotlib is missing.

    Example:
        >>> ax = plot_precision_recall(([1.0, 0.5], [0.5, 1.0]))
        >>> ax.get_xlabel()
        'recall'
    """
    given = results if _is_by_name(results) else {"": results}
    if not given:
        raise ValueError("`results` must hold at least one curve. Received: {}.")
    curves = {str(name): _as_curve(one) for name, one in given.items()}
    marks = {
        str(name): _mark(curves[str(name)], _cutpoint(one, cutpoint))
        for name, one in given.items()
        if _cutpoint(one, cutpoint) is not None
    }
    plt, ax = axes_for(ax, "Drawing precision and recall", (5.5, 5))
    _equal_f1(ax)
    for i, (name, (precision, recall, distances)) in enumerate(curves.items()):
        style = line_style(ax, i)
        label = legend_name(name) if name else "every threshold"
        x, y = thinned(recall, precision)
        ax.plot(x, y, label=label, **style)
        if name in marks and distances is not None:
            place = marks[name]
            x, y = recall[place], precision[place]
            words = (
                f"distance {distances[place]:.4g}: precision {y:.3g}, recall {x:.3g}"
            )
            mark_point(ax, x, y, style, words, clip_on=False)
    ax.set_xlim(0.0, 1.0)
    ax.set_ylim(0.0, 1.01)
    ax.set_xlabel("recall")
    ax.set_ylabel("precision")
    ax.grid(alpha=0.25)
    legend_outside(ax, len(curves) + len(marks), most=10)
    return finish(plt, ax, title, show)


def _is_by_name(results: Any) -> bool:
    """A dict of results; not one of arrays by metric, which is a calibration's."""
    return isinstance(results, dict) and not {"precision", "recall"} <= results.keys()


def _cutpoint(results: Any, cutpoint: Any) -> Any:
    if cutpoint is not None:
        return cutpoint
    has_optimal = "optimal" in getattr(results, "cutpoints", ())
    return results if has_optimal else None


def _as_curve(results: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Precision, recall and distances."""
    by_metric = results
    if isinstance(getattr(results, "thresholds", None), dict):
        by_metric = results.thresholds
    if isinstance(by_metric, dict):
        missing = {"precision", "recall"} - by_metric.keys()
        if missing:
            raise ValueError(
                f"The calibration has no {sorted(missing)}, only {sorted(by_metric)}. "
                "Calibrate with `extra_metrics=['precision', 'recall']`."
            )
        given = [by_metric[name] for name in ("precision", "recall")]
        given.append(by_metric.get("distance"))
    elif hasattr(results, "same_within"):
        same = np.asarray(results.same_within, np.float64)
        accepted = same + np.asarray(results.different_within)
        kept = accepted > 0
        given = [same[kept] / accepted[kept], same[kept] / same[-1]]
        given.append(np.asarray(results.thresholds)[kept])
    elif isinstance(results, list | tuple) and len(results) in (2, 3):
        given = [*results, None][:3]
    else:
        raise TypeError(
            "`results` must be a calibration, what `evaluate_verification` gives, "
            "arrays (precision, recall) or (precision, recall, distances), or a dict "
            f"of such by name. Received: {type(results).__name__}."
        )
    arrays = {
        name: as_values(values, name)
        for name, values in zip(("precision", "recall", "distance"), given, strict=True)
        if values is not None
    }
    same_length(arrays)
    for name in ("precision", "recall"):
        low, high = arrays[name].min(), arrays[name].max()
        if low < 0 or high > 1:
            raise ValueError(
                f"`{name}` must be from 0 to 1. Received values from {low:g} to "
                f"{high:g}."
            )
    return arrays["precision"], arrays["recall"], arrays.get("distance")


def _mark(
    curve: tuple[np.ndarray, np.ndarray, np.ndarray | None], cutpoint: Any
) -> int:
    threshold = threshold_of(cutpoint, "cutpoint")
    distances = curve[2]
    if distances is None or threshold is None:
        raise ValueError(
            "`cutpoint` cannot be marked: the curve has no distances. Pass results, or "
            "arrays (precision, recall, distances)."
        )
    reached = np.flatnonzero(distances <= threshold)
    if not len(reached):
        return int(distances.argmin())
    return int(reached[distances[reached].argmax()])


def _equal_f1(ax: Any) -> None:
    for value in (0.2, 0.4, 0.6, 0.8):
        recall = np.linspace(value / (2 - value), 1, 100)
        precision = value * recall / (2 * recall - value)
        ax.plot(recall, precision, color=foreground(ax), linewidth=0.6, alpha=0.35)
        ax.annotate(
            f"F1 {value}",
            (1.0, precision[-1]),
            xytext=(-2, 2),
            textcoords="offset points",
            ha="right",
            fontsize="x-small",
            alpha=0.7,
        )
