"""Augmented views of pictures, side by side."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tensorflow_similarity._core import doors
from tensorflow_similarity._core.optional import optional_import
from tensorflow_similarity._core.pictures import as_drawable
from tensorflow_similarity.visualization.drawing import shortened

_MOST_BY_DEFAULT = 16


def visualize_views(
    views: Sequence[Any],
    labels: Any = None,
    predictions: Any = None,
    num_imgs: int | None = None,
    views_per_col: int = 4,
    fig_size: tuple[float, float] = (24, 4),
    max_pixel_value: float = 1.0,
    min_pixel_value: float = 0.0,
    show: bool = True,
) -> np.ndarray:
    """Draws the views that an augmenter made of each picture next to each other.

    Picture i is shown once in each of `views`, the views of one picture in neighbouring
    columns under a common number, `views_per_col` pictures in a row. Values are drawn
    as (value - min_pixel_value) / (max_pixel_value - min_pixel_value), cut to [0, 1].

    Args:
        views: for each view an array of the same pictures in the same order, shape
            (n, height, width), (n, height, width, 1) or (n, height, width, 3).
        labels: what each picture is, n integers or strings, written above it.
        predictions: what was predicted: n labels or numbers, or shape (n, n_classes)
            of scores, whose largest is meant. One that differs from the label has a
            cross. Defaults to None.
        num_imgs: how many pictures, at least 1. Defaults to None: all,
            at most 16.
        views_per_col: pictures in a row, at least 1. Defaults to 4.
        fig_size: width and height in inches. Defaults to (24, 4), as wide as a
            notebook.
        max_pixel_value: the value drawn white. Defaults to 1.0, 255.0 for bytes.
        min_pixel_value: the value drawn black.
        show: whether to show the figure now.

    Returns:
        The axes, shape (n_rows, views_per_col * n_views).

    Raises:
        ValueError: for no views, views of unequal shapes, NaN in one that is drawn,
            labels or predictions of another number, or numbers out of range.
        ImportError: if Matplotlib is missing.
    """
    stacks = _as_stacks(views)
    n_given = len(stacks[0])
    wanted = _MOST_BY_DEFAULT if num_imgs is None else _whole(num_imgs, "num_imgs")
    n_shown = min(wanted, n_given)
    in_a_row = min(_whole(views_per_col, "views_per_col"), n_shown)
    if not max_pixel_value > min_pixel_value:
        raise ValueError(
            "`max_pixel_value` must be above `min_pixel_value`. Received: "
            f"max_pixel_value={max_pixel_value!r}, min_pixel_value={min_pixel_value!r}."
        )
    titles = _titles(_column(labels, n_given, "labels"), predictions, n_given)

    scale = max_pixel_value - min_pixel_value
    shown = [
        _scaled(stack[i], f"`views[{j}][{i}]`", min_pixel_value, scale)
        for i in range(n_shown)
        for j, stack in enumerate(stacks)
    ]

    plt = optional_import("matplotlib.pyplot", purpose="Drawing views")
    n_rows = -(-n_shown // in_a_row)
    figure, axes = plt.subplots(
        n_rows,
        in_a_row * len(stacks),
        figsize=fig_size,
        squeeze=False,
        layout="constrained",
    )
    for axis in axes.ravel():
        axis.set_axis_off()
    # Row by row: the views of one picture follow each other in both.
    for place, (axis, picture) in enumerate(zip(axes.ravel(), shown, strict=False)):
        i, j = divmod(place, len(stacks))
        options = {"cmap": "gray"} if picture.ndim == 2 else {}
        axis.imshow(picture, vmin=0.0, vmax=1.0, **options)
        title = f"view {j + 1}" if j else titles[i]
        axis.set_title(title, fontsize="small", parse_math=False)
    figure.draw_without_rendering()
    if show:
        plt.show()
    return axes


vizualize_views = visualize_views
"""The name, misspelt, under which some notebooks know `visualize_views`."""


def _as_stacks(views: Any) -> list[np.ndarray]:
    stacks = []
    for i, view in enumerate(views):
        stack = doors.as_array(view)
        if stack.ndim not in (3, 4) or not len(stack) or stack.dtype.kind not in "fiub":
            raise ValueError(
                f"`views[{i}]` must be pictures, shape (n, height, width) or (n, "
                "height, width, channels). Received: "
                f"shape={stack.shape}, dtype={stack.dtype}."
            )
        stacks.append(stack)
    if not stacks:
        raise ValueError("`views` must hold at least one array of pictures.")
    if len({len(stack) for stack in stacks}) > 1:
        raise ValueError(
            "Each of `views` must hold the same pictures. Received numbers of "
            f"pictures: {[len(stack) for stack in stacks]}."
        )
    return stacks


def _scaled(picture: np.ndarray, name: str, low: float, scale: float) -> np.ndarray:
    shape = as_drawable(picture, name).shape
    values = np.asarray(picture, np.float64).reshape(shape)
    return np.clip((values - low) / scale, 0.0, 1.0)


def _whole(value: Any, name: str) -> int:
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole or value < 1:
        raise ValueError(
            f"`{name}` must be an integer of at least 1. Received: {name}={value!r}."
        )
    return int(value)


def _column(values: Any, n_items: int, name: str) -> list[Any] | None:
    """One plain value for each picture; the class with the largest of its scores."""
    if values is None:
        return None
    array = doors.as_array(values)
    if array.ndim == 2:
        array = array[:, 0] if array.shape[1] == 1 else array.argmax(axis=1)
    if array.ndim != 1 or len(array) != n_items:
        raise ValueError(
            f"`{name}` must hold one value for each picture, shape ({n_items},). "
            f"Received: shape={array.shape}."
        )
    return [v.decode() if isinstance(v, bytes) else v for v in array.tolist()]


def _titles(labels: list[Any] | None, predictions: Any, n_items: int) -> list[str]:
    predicted = _column(predictions, n_items, "predictions")
    titles = []
    for i in range(n_items):
        parts = [] if labels is None else [shortened(_text(labels[i]))]
        if predicted is not None:
            parts.append(f"predicted {shortened(_text(predicted[i]))}")
        title = ", ".join(parts) or str(i)
        # A number between classes is a score, which is neither right nor wrong.
        told = predicted is not None and not isinstance(predicted[i], float)
        if labels is not None and predicted is not None and told:
            if predicted[i] != labels[i]:
                title = f"\N{MULTIPLICATION SIGN} {title}"
        titles.append(title)
    return titles


def _text(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
