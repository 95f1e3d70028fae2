"""The DET curve of pairs: both error rates, small ones drawn large."""

from typing import Any

import numpy as np

from tensorflow_similarity._core.optional import optional_import
from tensorflow_similarity.visualization.drawing import (
    axes_for,
    finish,
    foreground,
    legend_name,
    legend_outside,
    line_style,
    mark_point,
    thinned,
)
from tensorflow_similarity.visualization.rate_curves import (
    RateCurve,
    as_rate_curves,
    marked_places,
    point_words,
)

_TICKS = (1e-6, 1e-5, 1e-4, 1e-3, 0.01, 0.05, 0.2, 0.5, 0.8, 0.95)
# Where a curve has no smaller rate to begin with.
_FURTHEST = 0.01


def plot_det(
    results: Any,
    *,
    cutpoint: Any = None,
    ax: Any = None,
    title: str | None = "Detection error trade-off",
    show: bool = False,
) -> Any:
    """Draws the false reject rate over the false accept rate.

    Both axes are normal deviates: the curve of two normal distributions of distances is
    a straight line, and rates of 0.1 % have as much room as rates of 20 %. Rates of 0
    and 1 lie infinitely far and are left out. The thin line is where both are equal;
    the legend has the rate there.

    Args:
        results: `VerificationResults`; arrays (fpr, tpr) or (fpr, tpr, thresholds) by
            ascending distance; or a dict of such by name, to compare.
        cutpoint: the threshold to mark: a distance, one of `calibration.cutpoints`, a
            calibration (its "optimal"), or "eer". Defaults to None: no mark.
        ax: axes to draw on. Defaults to None: a new figure.
        title: above the plot.
        show: whether to show the figure now.

    Returns:
        The axes.

    Raises:
        ValueError: for rates out of order or range, unequal lengths, a cutpoint on a
            curve without thresholds, or a curve with rates of 0 and 1 only.
        TypeError: for results of another kind.
        ImportError: if Matplotlib or SciPy is missing.

    Reference:
        Martin et al., "The DET Curve in Assessment of Detection Task Performance",
        Eurospeech 1997.
    """
    curves = as_rate_curves(results)
    marks = {} if cutpoint is None else marked_places(curves, cutpoint)
    lines = {name: _inner(curve) for name, curve in curves.items()}
    special = optional_import("scipy.special", purpose="Drawing a DET curve")
    plt, ax = axes_for(ax, "Drawing a DET curve", (5.5, 5))
    deviates = (_deviate(special.ndtri), special.ndtr)
    ax.set_xscale("function", functions=deviates)
    ax.set_yscale("function", functions=deviates)
    for i, (name, curve) in enumerate(curves.items()):
        style = line_style(ax, i)
        label = f"{legend_name(name)}: " if name else ""
        ax.plot(*lines[name], label=f"{label}equal error rate {curve.eer:.3g}", **style)
        if name in marks:
            place = marks[name]
            x, y = curve.fpr[place], 1 - curve.tpr[place]
            words = f"{point_words(curve, place)}: FAR {x:.3g}, FRR {y:.3g}"
            mark_point(ax, x, y, style, words)
    low = _lowest(lines)
    high = max(0.5, *(min(0.95, max(map(np.max, line))) for line in lines.values()))
    diagonal = np.linspace(special.ndtri(low), special.ndtri(high), 2)
    diagonal = special.ndtr(diagonal)
    ax.plot(diagonal, diagonal, color=foreground(ax), linewidth=0.6, alpha=0.6)
    ticks = [tick for tick in _TICKS if low <= tick <= high]
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_ticks(ticks, [f"{100 * tick:g}" for tick in ticks], fontsize="small")
        axis.set_minor_locator(plt.NullLocator())
    ax.set_xlim(low, high)
    ax.set_ylim(low, high)
    ax.set_xlabel("false accept rate, %: different pairs taken for same")
    ax.set_ylabel("false reject rate, %: same pairs not found")
    ax.grid(alpha=0.25)
    legend_outside(ax, len(curves) + len(marks), most=10)
    return finish(plt, ax, title, show)


def _inner(curve: RateCurve) -> list[np.ndarray]:
    """(fpr, fnr) where neither is 0 or 1."""
    fnr = 1 - curve.tpr
    # 1 - 0.9 and such leave dust below 1e-12, which is no rate of any count of pairs.
    inside = (curve.fpr > 0) & (curve.fpr < 1) & (fnr > 1e-12) & (fnr < 1)
    if not inside.any():
        raise ValueError(
            "There is no DET curve to draw: at every threshold one of the error rates "
            "is 0 or 1. Same and different pairs are told apart without an error, or "
            "are too few; `plot_distances` shows them."
        )
    return thinned(curve.fpr[inside], fnr[inside])


def _lowest(lines: dict[str, list[np.ndarray]]) -> float:
    smallest = min(float(rate.min()) for line in lines.values() for rate in line)
    return max(min(0.7 * smallest, _FURTHEST), 1e-7)


def _deviate(ndtri: Any) -> Any:
    """Normal deviates of rates that never leave the plane: 0 and 1 have no place."""
    return lambda rates: ndtri(np.clip(rates, 1e-9, 1 - 1e-9))
