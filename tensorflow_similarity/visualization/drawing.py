"""What the plots share: axes, colours for both styles, names that fit."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tensorflow_similarity._core import doors
from tensorflow_similarity._core.optional import optional_import

# Okabe and Ito's colours, which colour-blind readers tell apart, by the ground on which
# they stand out; the kind of line tells them apart without colour.
_ON_LIGHT = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_ON_DARK = ("#56B4E9", "#E69F00", "#009E73", "#CC79A7", "#F0E442", "#D55E00")
_LINES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 3)))
# Points that a line has at most; a screen has fewer.
_MOST_POINTS = 4000
_LONGEST_NAME = 28


def axes_for(ax: Any, purpose: str, fig_size: tuple[float, float]) -> tuple[Any, Any]:
    """`matplotlib.pyplot` and the axes to draw on: those given, or a new figure's.

    Raises:
        TypeError: for something that is not axes.
        ImportError: if Matplotlib is missing.
    """
    plt = optional_import("matplotlib.pyplot", purpose=purpose)
    if ax is None:
        return plt, plt.subplots(figsize=fig_size, layout="constrained")[1]
    if not hasattr(ax, "plot") or not hasattr(ax, "set_xlabel"):
        raise TypeError(
            "`ax` must be Matplotlib axes, as `plt.subplots()` gives, or None. "
            f"Received: {type(ax).__name__}."
        )
    return plt, ax


def finish(plt: Any, ax: Any, title: str | None, show: bool) -> Any:
    """The axes, titled, and shown if asked."""
    if title:
        ax.set_title(title, parse_math=False)
    if show:
        plt.show()
    return ax


def is_dark(ax: Any) -> bool:
    """Whether the axes' ground is dark: white letters stand on it."""
    colours = optional_import("matplotlib.colors", purpose="Drawing a plot")
    red, green, blue, alpha = colours.to_rgba(ax.get_facecolor())
    if alpha < 0.5:
        ground = ax.figure.get_facecolor()
        red, green, blue, _ = colours.to_rgba(ground)
    return 0.299 * red + 0.587 * green + 0.114 * blue < 0.5


def colour(ax: Any, i: int) -> str:
    """The i-th colour on these axes."""
    palette = _ON_DARK if is_dark(ax) else _ON_LIGHT
    return palette[i % len(palette)]


def line_style(ax: Any, i: int) -> dict[str, Any]:
    """Colour and kind of the i-th line on these axes."""
    # When the colours come again, each has another kind of line.
    shifted = i + i // len(_ON_LIGHT)
    return {"color": colour(ax, i), "linestyle": _LINES[shifted % len(_LINES)]}


def mark_point(
    ax: Any, x: float, y: float, style: dict[str, Any], words: str, **options: Any
) -> None:
    """A dot in the colour of its curve, with words for the legend."""
    ax.plot(
        [x],
        [y],
        "o",
        color=style["color"],
        markeredgecolor=foreground(ax),
        markersize=8,
        label=words,
        **options,
    )


def foreground(ax: Any) -> str:
    """The colour of letters and of lines that mark."""
    return "white" if is_dark(ax) else "black"


def shortened(name: str, longest: int = _LONGEST_NAME) -> str:
    """The name; the middle of a long one is left out, since endings often differ."""
    if len(name) <= longest:
        return name
    half = (longest - 1) // 2
    return f"{name[: longest - 1 - half]}…{name[-half:]}"


def legend_name(name: str) -> str:
    """A name for the legend, from which Matplotlib leaves out those like "_this"."""
    return "\N{ZERO WIDTH SPACE}" * name.startswith("_") + shortened(name)


def as_values(values: Any, name: str) -> np.ndarray:
    """Numbers as float64, shape (n,), without NaN.

    Raises:
        ValueError: for another shape, no numbers at all, NaN, or non-numbers.
    """
    try:
        array = doors.as_array(values)
    except ValueError:
        array = np.array(None)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.dtype.kind not in "fiub" or array.ndim != 1 or not array.size:
        raise ValueError(
            f"`{name}` must be numbers, shape (n,), at least one. Received: "
            f"shape={array.shape}, dtype={array.dtype}."
        )
    if np.isnan(array).any():
        raise ValueError(
            f"`{name}` must not be NaN. Received NaN in {int(np.isnan(array).sum())} "
            f"of {len(array)} places."
        )
    return array.astype(np.float64)


def same_length(arrays: dict[str, np.ndarray]) -> None:
    """Refuses arrays of unequal length.

    Raises:
        ValueError: with the length of each.
    """
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        names = ", ".join(f"`{name}`" for name in lengths)
        raise ValueError(f"{names} must have one length. Received: {lengths}.")


def thinned(*curve: np.ndarray) -> list[np.ndarray]:
    """Some thousand points of a long curve that look the same when drawn.

    Points are kept evenly along each coordinate and along its logarithm, and evenly by
    place: steep, flat and near-zero stretches all keep theirs.
    """
    n_points = len(curve[0])
    if n_points <= _MOST_POINTS:
        return list(curve)
    share = _MOST_POINTS // (2 * len(curve) + 1)
    kept = [np.linspace(0, n_points - 1, share).astype(int)]
    for values in curve:
        order = np.argsort(values, kind="stable")
        ranked = values[order]
        finite = ranked[np.isfinite(ranked)]
        if not len(finite):
            continue
        grids = [np.linspace(finite[0], finite[-1], share)]
        if finite[-1] > 0:
            lowest = finite[np.searchsorted(finite, 0, side="right")]
            grids.append(np.geomspace(lowest, finite[-1], share))
        for grid in grids:
            kept.append(order[np.searchsorted(ranked, grid).clip(0, n_points - 1)])
    places = np.unique(np.concatenate(kept))
    return [values[places] for values in curve]


def threshold_of(threshold: Any, name: str = "threshold") -> float | None:
    """A distance: a number, a cutpoint's, or that of a calibration's "optimal".

    Raises:
        ValueError: for NaN, or a calibration without a cutpoint "optimal".
        TypeError: for something that has no distance.
    """
    if threshold is None:
        return None
    found = getattr(threshold, "cutpoints", threshold)
    if found is not threshold:
        if "optimal" not in found:
            raise ValueError(
                f"The calibration given as `{name}` has no cutpoint 'optimal', only "
                f"{sorted(found)}. Pass one of `calibration.cutpoints`, or a number."
            )
        found = found["optimal"]
    if isinstance(found, dict):
        found = found.get("distance")
    try:
        number = float(np.asarray(found).reshape(-1)[0]) if found is not None else None
    except (TypeError, ValueError, IndexError):
        number = None
    if number is None or isinstance(found, bool | str):
        raise TypeError(
            f"`{name}` must be a distance, one of `calibration.cutpoints`, or a "
            f"calibration. Received: {type(threshold).__name__}."
        )
    if np.isnan(number):
        raise ValueError(f"`{name}` must not be NaN.")
    return number


def legend_outside(ax: Any, n_entries: int, most: int = 6) -> None:
    """A legend inside the axes, or beside them if it is long."""
    options: dict[str, Any] = {"frameon": True, "fontsize": "small"}
    if n_entries > most:
        options |= {"loc": "upper left", "bbox_to_anchor": (1.01, 1.0)}
    legend = ax.legend(**options)
    for text in legend.get_texts():
        text.set_parse_math(False)


def pick(names: Sequence[str], known: Sequence[str], argument: str) -> list[str]:
    """Those names, all of which must be known.

    Raises:
        ValueError: for an unknown one; the message lists the known ones.
    """
    if isinstance(names, str):
        names = [names]
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        raise ValueError(
            f"`{argument}` must be among {sorted(known)}. Received: {list(names)!r}."
        )
    return list(names)
