"""How much of the exact answer an index gives, and how long it takes."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tensorflow_similarity.visualization.drawing import (
    as_values,
    axes_for,
    finish,
    legend_name,
    legend_outside,
    line_style,
    same_length,
)

_MARKERS = "osD^vP"


def plot_recall_latency(
    recall: Any,
    latency: Any = None,
    *,
    names: Sequence[Any] | None = None,
    ax: Any = None,
    title: str | None = "Recall and latency",
    show: bool = False,
) -> Any:
    """Draws the time of a query over the recall it buys: right and low is better.

    Nothing is measured here: pass what you measured, say with `index.recall_check` and
    a clock, once for each setting of the index. Points are joined by ascending recall;
    times are drawn by their logarithm.

    Args:
        recall: shares from 0 to 1 of the exact neighbours that were found, shape (n,);
            or a dict by index of (recall, latency) or (recall, latency, names).
        latency: milliseconds a query, above 0, shape (n,).
        names: what to write at each point, such as `efSearch`. Defaults to None.
        ax: axes to draw on. Defaults to None: a new figure.
        title: above the plot.
        show: whether to show the figure now.

    Returns:
        The axes.

    Raises:
        ValueError: for recalls out of range, times that are not above 0, unequal
            lengths, or missing times.
        ImportError: if Matplotlib is missing.

    Example:
        >>> ax = plot_recall_latency([0.9, 0.99], [0.1, 0.4], names=[50, 400])
        >>> [text.get_text() for text in ax.texts]
        ['50', '400']
    """
    by_index = recall if isinstance(recall, dict) else {"": (recall, latency, names)}
    series = {str(name): _as_series(one) for name, one in by_index.items()}
    if not series:
        raise ValueError("`recall` must hold at least one index. Received: {}.")
    plt, ax = axes_for(ax, "Drawing recall and latency", (6.5, 4.5))
    for i, (name, (found, times, words)) in enumerate(series.items()):
        order = np.argsort(found, kind="stable")
        ax.plot(
            found[order],
            times[order],
            marker=_MARKERS[i % len(_MARKERS)],
            markersize=5,
            label=legend_name(name) if name else None,
            **line_style(ax, i),
        )
        for place in order if words else ():
            ax.annotate(
                words[place],
                (found[place], times[place]),
                xytext=(5, 4 if i % 2 == 0 else -10),
                textcoords="offset points",
                fontsize="x-small",
                parse_math=False,
            )
    ax.set_yscale("log")
    ax.margins(x=0.1)
    ax.set_xlabel("recall: share of the exact neighbours")
    ax.set_ylabel("milliseconds a query")
    ax.grid(alpha=0.25, which="both")
    if any(series):
        legend_outside(ax, len(series))
    return finish(plt, ax, title, show)


def _as_series(given: Any) -> tuple[np.ndarray, np.ndarray, list[str]]:
    recall, latency, names = [*given, None, None][:3]
    if latency is None:
        raise ValueError(
            "`latency` is missing: milliseconds a query for each recall, shape (n,)."
        )
    arrays = {
        "recall": as_values(recall, "recall"),
        "latency": as_values(latency, "latency"),
    }
    words = [] if names is None else [str(name) for name in names]
    same_length(arrays | ({"names": np.array(words)} if names is not None else {}))
    if arrays["recall"].min() < 0 or arrays["recall"].max() > 1:
        raise ValueError(
            "`recall` must be shares from 0 to 1. Received values from "
            f"{arrays['recall'].min():g} to {arrays['recall'].max():g}."
        )
    if arrays["latency"].min() <= 0:
        raise ValueError(
            "`latency` must be milliseconds above 0. Received: "
            f"{arrays['latency'].min():g}."
        )
    return arrays["recall"], arrays["latency"], words
