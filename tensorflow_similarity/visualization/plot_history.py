"""Training curves: losses, distances and whatever else was logged."""

import re
from typing import Any

import numpy as np

from tensorflow_similarity._core.optional import optional_import
from tensorflow_similarity.visualization.drawing import (
    as_values,
    axes_for,
    legend_outside,
    line_style,
    pick,
)

_LOSS = "loss"
_DISTANCES = "distances in the batch"
_RATE = "learning rate"
_PARTS = re.compile(r"^(val_)?(.*?)(_known_classes|_unknown_classes)?$")
# Inches of one panel.
_WIDTH, _HEIGHT, _COLUMNS = 4.5, 3.2, 3


def plot_history(
    history: Any,
    metrics: Any = None,
    *,
    ax: Any = None,
    show: bool = False,
) -> np.ndarray:
    """Draws what a training logged, one panel for each quantity.

    Losses share a panel, and so do the distances of `DistanceMetric` (names that end in
    "_pos" or "_neg") with their gap; validation stands beside training, dashed. The
    learning rate is drawn by its logarithm. Values that are NaN leave a gap.

    Args:
        history: what `model.fit` gives, or its `history`: a dict of lists, one value
            an epoch.
        metrics: names to draw, without "val_"; validation comes with each. Defaults to
            None: all.
        ax: axes, as many as there are panels. Defaults to None: a new figure, up to
            three panels in a row.
        show: whether to show the figure now.

    Returns:
        The axes, shape (n_panels,), in the order in which the quantities were logged.

    Raises:
        ValueError: for an empty history, values that are not numbers, unknown metrics,
            or another number of axes.
        TypeError: for something that is not a history.
        ImportError: if Matplotlib is missing.

    Example:
        >>> axes = plot_history({"loss": [0.9, 0.4], "val_loss": [1.0, 0.6]})
        >>> [line.get_label() for line in axes[0].get_lines()]
        ['loss', 'validation loss']
    """
    logs = getattr(history, "history", history)
    if not isinstance(logs, dict):
        raise TypeError(
            "`history` must be what `model.fit` gives, or a dict of lists. Received: "
            f"{type(history).__name__}."
        )
    if not logs:
        raise ValueError("`history` is empty: the training has not run an epoch.")
    known = list(dict.fromkeys(_split(name)[1] for name in logs))
    wanted = known if metrics is None else pick(metrics, known, "metrics")
    panels = _panels([name for name in logs if _split(name)[1] in wanted])
    curves = {name: _values(logs[name], name) for name in logs}
    # Epochs count from 1, as Keras prints them, and go on in a resumed training.
    epochs = getattr(history, "epoch", None)
    plt, axes = _axes(ax, len(panels))
    for axis, (quantity, names) in zip(axes, panels.items(), strict=True):
        colours = list(dict.fromkeys(_split(name)[1:] for name in names))
        for name in names:
            validation, *rest = _split(name)
            style = line_style(axis, colours.index((rest[0], rest[1])))
            style["linestyle"] = "--" if validation else "-"
            values = curves[name]
            at = np.arange(1, len(values) + 1)
            if epochs and len(epochs) == len(values):
                at = np.asarray(epochs) + 1
            words = name.removeprefix("val_").replace("_", " ")
            axis.plot(
                at,
                values,
                marker="." if len(values) < 30 else None,
                label=f"validation {words}" if validation else words,
                **style,
            )
        if quantity == _RATE:
            axis.set_yscale("log")
        axis.set_title(quantity, fontsize="medium")
        axis.set_xlabel("epoch")
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.grid(alpha=0.25)
        legend_outside(axis, len(names))
    if show:
        plt.show()
    return axes


def _split(name: str) -> tuple[str, str, str]:
    """("val_" or "", the metric, which classes)."""
    found = _PARTS.match(name)
    if found is None:
        return "", name, ""
    return found[1] or "", found[2], found[3] or ""


def _quantity(metric: str) -> str:
    if metric == "loss" or metric.endswith("_loss"):
        return _LOSS
    if metric.endswith(("_pos", "_neg")) or metric in ("dist_gap", "distance_gap"):
        return _DISTANCES
    if metric in ("learning_rate", "lr"):
        return _RATE
    return metric.replace("_", " ")


def _panels(names: list[str]) -> dict[str, list[str]]:
    """Names that are drawn together, by quantity."""
    panels: dict[str, list[str]] = {}
    for name in names:
        panels.setdefault(_quantity(_split(name)[1]), []).append(name)
    return panels


def _values(values: Any, name: str) -> np.ndarray:
    try:
        given = np.asarray(values, np.float64)
    except (TypeError, ValueError):
        raise ValueError(
            f"`history[{name!r}]` must be numbers, one an epoch. Received: "
            f"{values!r:.80}."
        ) from None
    filled = as_values(np.nan_to_num(given), f"history[{name!r}]")
    return np.where(np.isfinite(given), filled, np.nan)


def _axes(ax: Any, n_panels: int) -> tuple[Any, np.ndarray]:
    plt = optional_import("matplotlib.pyplot", purpose="Drawing a history")
    if ax is not None:
        given = np.ravel(np.asarray(ax, object))
        if len(given) != n_panels:
            raise ValueError(
                f"`ax` must be {n_panels} axes, one for each panel. Received: "
                f"{len(given)}. Choose fewer with `metrics=`."
            )
        return plt, np.array(
            [axes_for(axis, "Drawing a history", (1, 1))[1] for axis in given], object
        )
    columns = min(n_panels, _COLUMNS)
    rows = -(-n_panels // columns)
    figure, grid = plt.subplots(
        rows,
        columns,
        figsize=(_WIDTH * columns, _HEIGHT * rows),
        squeeze=False,
        layout="constrained",
    )
    for spare in grid.ravel()[n_panels:]:
        figure.delaxes(spare)
    return plt, grid.ravel()[:n_panels]
