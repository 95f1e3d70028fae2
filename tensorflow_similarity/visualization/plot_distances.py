"""Distances of same and of different pairs, and the threshold between them."""

from typing import Any

import numpy as np

from tensorflow_similarity.visualization.drawing import (
    as_values,
    axes_for,
    colour,
    finish,
    foreground,
    legend_outside,
    threshold_of,
)

# Hatches tell the two apart without colour.
_HATCHES = ("///", "...")


def plot_distances(
    same: Any,
    different: Any = None,
    *,
    threshold: Any = None,
    bins: int = 60,
    log_y: bool = False,
    ax: Any = None,
    title: str | None = "Distances of pairs",
    show: bool = False,
) -> Any:
    """Draws how distances of same and of different pairs are spread.

    Each histogram sums to 1, so that both have one height although most pairs of a data
    set are different. With a threshold, the legend says what lies on its wrong side:

        missed          = same pairs farther than the threshold / same pairs
        taken for same  = different pairs within the threshold / different pairs

    Args:
        same: distances of pairs of the same class, shape (n,); or a
            `VerificationResults`, which knows both.
        different: distances of pairs of different classes, shape (m,).
        threshold: a distance, one of `calibration.cutpoints`, or a calibration (its
            "optimal"). Defaults to None: no line.
        bins: number of bars, at least 1. Defaults to 60: one is wider than a line.
        log_y: whether shares are drawn by their logarithm, to see few pairs.
        ax: axes to draw on. Defaults to None: a new figure.
        title: above the plot.
        show: whether to show the figure now.

    Returns:
        The axes.

    Raises:
        ValueError: for no distances, NaN, a number of bins below 1, or only one of both
            kinds of pairs.
        ImportError: if Matplotlib is missing.

    Example:
        >>> ax = plot_distances([0.1, 0.2], [0.4, 0.9], threshold=0.3)
        >>> [text.get_text() for text in ax.get_legend().get_texts()][-1]
        'threshold 0.3: 0 % missed, 0 % taken for same'
    """
    if isinstance(bins, bool) or not isinstance(bins, int | np.integer) or bins < 1:
        raise ValueError(
            f"`bins` must be an integer of at least 1. Received: bins={bins!r}."
        )
    groups = _groups(same, different)
    limit = threshold_of(threshold)
    plt, ax = axes_for(ax, "Drawing distances", (7, 4))
    low = min(float(values.min()) for values, _ in groups)
    high = max(float(values.max()) for values, _ in groups)
    if low == high:
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, bins + 1)
    for i, (name, (values, counts)) in enumerate(
        zip(("same", "different"), groups, strict=True)
    ):
        total = counts.sum()
        shares, _ = np.histogram(values, edges, weights=counts / total)
        ax.stairs(
            shares,
            edges,
            fill=True,
            facecolor=(colour(ax, i), 0.35),
            edgecolor=colour(ax, i),
            hatch=_HATCHES[i],
            linewidth=1.2,
            label=f"{name}: {int(total):,} pairs",
        )
    if limit is not None:
        missed = _share(groups[0], beyond=limit)
        taken = 1 - _share(groups[1], beyond=limit)
        ax.axvline(
            limit,
            color=foreground(ax),
            linestyle="--",
            label=f"threshold {limit:.4g}: {100 * missed:.3g} % missed, "
            f"{100 * taken:.3g} % taken for same",
        )
    if log_y:
        ax.set_yscale("log")
    # Room for the legend above the bars.
    bottom, top = ax.get_ylim()
    ax.set_ylim(bottom, top * 10 if log_y else top * 1.35)
    ax.set_xlabel("distance")
    ax.set_ylabel("share of pairs")
    legend_outside(ax, 3)
    ax.get_legend().set_loc("upper right")
    return finish(plt, ax, title, show)


def _groups(same: Any, different: Any) -> list[tuple[np.ndarray, np.ndarray]]:
    """Distances and how many pairs have each, of same and of different pairs."""
    if hasattr(same, "same_within") and hasattr(same, "different_within"):
        found = []
        thresholds = np.asarray(same.thresholds, np.float64)
        for within in (same.same_within, same.different_within):
            counts = np.diff(np.asarray(within, np.float64), prepend=0.0)
            kept = (counts > 0) & np.isfinite(thresholds)
            found.append((thresholds[kept], counts[kept]))
        return found
    if different is None:
        raise ValueError(
            "`different` is missing: pass distances of pairs of different classes, or "
            "what `evaluate_verification` gives as the first argument."
        )
    groups = []
    for values, name in ((same, "same"), (different, "different")):
        distances = as_values(values, name)
        if not np.isfinite(distances).all():
            raise ValueError(f"`{name}` must be finite. Received infinite distances.")
        groups.append((distances, np.ones(len(distances))))
    return groups


def _share(group: tuple[np.ndarray, np.ndarray], *, beyond: float) -> float:
    values, counts = group
    return float(counts[values > beyond].sum() / counts.sum())
