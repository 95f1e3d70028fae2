"""Which classes are found well, and which are not."""

from typing import Any

import numpy as np

from tensorflow_similarity.visualization.class_names import as_label, class_name
from tensorflow_similarity.visualization.drawing import (
    as_values,
    axes_for,
    colour,
    finish,
    foreground,
    pick,
    same_length,
    shortened,
)


def plot_retrieval_by_class(
    table: Any,
    metric: str | None = None,
    *,
    class_mapping: Any = None,
    max_classes: int = 30,
    ax: Any = None,
    title: str | None = "Retrieval by class",
    show: bool = False,
) -> Any:
    """Draws one bar for each class, the worst on top, and the mean of all classes.

    Of more classes than fit, the worst are drawn; the label below says how many are
    not. Classes without a value (NaN: no query could be judged) are counted there too.

    Args:
        table: what `evaluate_retrieval(..., per_class=True)` gives, or the
            `ClassTable` in it; a dict from label to value; or arrays (labels, values).
        metric: which metric of the table. Defaults to None: its first.
        class_mapping: names of the labels: a list by integer label, or anything with
            `.get`. Defaults to None: labels.
        max_classes: how many bars at most, at least 1. Defaults to 30, which fit a
            screen.
        ax: axes to draw on. Defaults to None: a new figure, as high as the bars need.
        title: above the plot.
        show: whether to show the figure now.

    Returns:
        The axes.

    Raises:
        ValueError: for an unknown metric, unequal lengths, no class with a value, or
            `max_classes` below 1.
        TypeError: for a table of another kind.
        ImportError: if Matplotlib is missing.

    Example:
        >>> ax = plot_retrieval_by_class({"cat": 0.9, "dog": 0.5})
        >>> [text.get_text() for text in ax.get_yticklabels()]
        ['dog', 'cat']
    """
    if isinstance(max_classes, bool) or max_classes < 1:
        raise ValueError(
            "`max_classes` must be an integer of at least 1. Received: "
            f"max_classes={max_classes!r}."
        )
    labels, values, name = _columns(table, metric)
    judged = ~np.isnan(values)
    if not judged.any():
        raise ValueError("`table` has no class with a value: all are NaN.")
    order = np.flatnonzero(judged)[np.argsort(values[judged], kind="stable")]
    shown = order[:max_classes]
    mean = float(values[order].mean())
    names = [shortened(class_name(as_label(labels[i]), class_mapping)) for i in shown]

    size = (6.5, max(2.5, 1.2 + 0.24 * len(shown)))
    plt, ax = axes_for(ax, "Drawing retrieval by class", size)
    places = np.arange(len(shown))
    ax.barh(places, values[shown], height=0.75, color=colour(ax, 0), alpha=0.85)
    ax.axvline(mean, color=foreground(ax), linestyle="--")
    ax.set_yticks(places, names, parse_math=False)
    ax.set_ylim(len(shown) - 0.5, -0.5)
    ax.set_xlim(min(0.0, float(values[order[0]])), max(1.0, float(values[order[-1]])))
    notes = [name]
    if len(order) > len(shown):
        notes.append(f"the worst {len(shown)} of {len(order):,} classes")
    if not judged.all():
        notes.append(f"{int((~judged).sum()):,} without a value")
    ax.set_xlabel(
        f"{'; '.join(notes)}\ndashed: mean of {len(order):,} classes, {mean:.3g}"
    )
    ax.grid(axis="x", alpha=0.25)
    return finish(plt, ax, title, show)


def _columns(table: Any, metric: str | None) -> tuple[list[Any], np.ndarray, str]:
    """Labels, values with NaN among them, and what the values are called."""
    if isinstance(table, dict) and hasattr(table.get("per_class"), "classes"):
        table = table["per_class"]
    if hasattr(table, "classes") and isinstance(getattr(table, "metrics", None), dict):
        known = list(table.metrics)
        name = pick([metric], known, "metric")[0] if metric else known[0]
        labels, values = table.classes, table.metrics[name]
    elif isinstance(table, dict):
        labels, values = list(table), list(table.values())
        name = metric or "value"
    elif isinstance(table, list | tuple) and len(table) == 2:
        labels, values = table
        name = metric or "value"
    else:
        raise TypeError(
            "`table` must be a `ClassTable`, a dict from label to value, or arrays "
            f"(labels, values). Received: {type(table).__name__}."
        )
    given = np.asarray(values, np.float64) if len(values) else values
    filled = as_values(np.nan_to_num(given), "values")
    labels = list(labels)
    same_length({"labels": np.arange(len(labels)), "values": filled})
    return labels, np.where(np.isnan(given), np.nan, filled), name
