"""The ROC curve of pairs."""

from typing import Any

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
    as_rate_curves,
    marked_places,
    point_words,
)


def plot_roc(
    results: Any,
    *,
    cutpoint: Any = None,
    log_x: bool = False,
    ax: Any = None,
    title: str | None = "Same or different",
    show: bool = False,
) -> Any:
    """Draws the true accept rate over the false accept rate, with the area under it.

    The thin line is what guessing gives. Long curves are thinned to some thousand
    points that look the same.

    Args:
        results: `VerificationResults`; arrays (fpr, tpr) or (fpr, tpr, thresholds) by
            ascending distance; or a dict of such by name, to compare.
        cutpoint: the threshold to mark: a distance, one of `calibration.cutpoints`, a
            calibration (its "optimal"), or "eer", where both error rates are equal.
            Defaults to None: no mark.
        log_x: whether false accept rates are drawn by their logarithm, for systems
            that must rarely accept a stranger. Rates of 0 are then left of the plot.
        ax: axes to draw on. Defaults to None: a new figure.
        title: above the plot.
        show: whether to show the figure now.

    Returns:
        The axes.

    Raises:
        ValueError: for rates out of order or range, unequal lengths, or a cutpoint on a
            curve without thresholds.
        TypeError: for results of another kind.
        ImportError: if Matplotlib is missing.

    Example:
        >>> ax = plot_roc(([0.0, 0.1, 1.0], [0.0, 0.9, 1.0]))
        >>> ax.get_legend().get_texts()[0].get_text()
        'AUC 0.9000'

    Reference:
        Fawcett, "An introduction to ROC analysis", Pattern Recognition Letters 2006.
    """
    curves = as_rate_curves(results)
    marks = {} if cutpoint is None else marked_places(curves, cutpoint)
    plt, ax = axes_for(ax, "Drawing a ROC curve", (5.5, 5))
    for i, (name, curve) in enumerate(curves.items()):
        style = line_style(ax, i)
        label = f"{legend_name(name)}: " if name else ""
        fpr, tpr = thinned(curve.fpr, curve.tpr)
        ax.plot(fpr, tpr, label=f"{label}AUC {curve.auc:.4f}", **style)
        if name in marks:
            place = marks[name]
            x, y = curve.fpr[place], curve.tpr[place]
            words = f"{point_words(curve, place)}: FAR {x:.3g}, TAR {y:.3g}"
            mark_point(ax, x, y, style, words, clip_on=False)
    low = 0.0
    if log_x:
        positive = [curve.fpr[curve.fpr > 0].min() for curve in curves.values()]
        low = min([*positive, 0.1])
        ax.set_xscale("log")
    chance = _diagonal(low)
    ax.plot(chance, chance, color=foreground(ax), linewidth=0.6, alpha=0.6)
    ax.set_xlim(low, 1.0)
    ax.set_ylim(0.0, 1.01)
    ax.set_xlabel("false accept rate: different pairs taken for same")
    ax.set_ylabel("true accept rate: same pairs found")
    ax.grid(alpha=0.25)
    legend_outside(ax, len(curves) + len(marks), most=10)
    return finish(plt, ax, title, show)


def _diagonal(low: float) -> list[float]:
    """Where guessing lies: a straight line, bent on a logarithmic axis."""
    n_steps = 50
    if not low:
        return [0.0, 1.0]
    return [low ** (1 - i / n_steps) for i in range(n_steps + 1)]
