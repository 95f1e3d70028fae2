"""A query and what the index found for it, side by side."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tensorflow_similarity._core.optional import optional_import
from tensorflow_similarity._core.pictures import as_drawable
from tensorflow_similarity.types import Lookup
from tensorflow_similarity.visualization.class_names import as_label, class_name

# Blue and vermilion of Okabe and Ito's palette, told apart by colour-blind readers;
# the word in the title and the width of the frame say the same without colour.
_RIGHT = "#0072B2"
_WRONG = "#D55E00"
_WRONG_CMAP = "Reds"
# Widths of the frames in points.
_RIGHT_WIDTH, _WRONG_WIDTH = 2, 6


def viz_neighbors_imgs(
    example: Any,
    example_class: Any,
    neighbors: Sequence[Lookup],
    class_mapping: Any = None,
    fig_size: tuple[float, float] = (24, 4),
    cmap: str = "viridis",
    show: bool = True,
) -> Any:
    """Draws a query picture and its nearest neighbours in one row.

    Each neighbour is titled "label - distance". One of another class than the query
    has a wide frame, a title that begins with a cross and, with a single channel, the
    colours of "Reds". A neighbour without a label is never called wrong, nor is any
    where `example_class` is None. With no neighbours, the query stands alone.

    Pictures have the shape (height, width), (height, width, 1), or (height, width, 3
    or 4). Those of one channel are stretched from their darkest to their brightest
    value; colours are integers from 0 to 255, floats from 0 to 1, or, with a value
    above 1, floats from 0 to 255; with a value below 0 they are stretched, too.

    Args:
        example: the query's picture.
        example_class: its label: integer, string, an array or tensor of one of them,
            or None.
        neighbors: what `model.single_lookup(example)` gave, or one row of
            `model.lookup`. Their `data` must be pictures.
        class_mapping: names of the labels: anything with `.get`, as a dict, or a list
            or tuple by integer label. A label it does not name stands for itself.
            Defaults to None: labels.
        fig_size: width and height in inches. Defaults to (24, 4), as wide as a
            notebook, for the query and five neighbours.
        cmap: name of the Matplotlib colours for pictures of one channel.
        show: whether to show the figure now.

    Returns:
        None if shown, else `matplotlib.pyplot` with the figure as its current one:
        `viz_neighbors_imgs(..., show=False).savefig("neighbours.png")`.

    Raises:
        ValueError: for a neighbour without data, for data that is no picture, and for
            NaN in a picture.
        TypeError: for neighbours that are not lookups, or a class mapping that cannot
            be asked.
        ImportError: if Matplotlib is missing.
    """
    neighbors = _as_neighbors(neighbors)
    label = as_label(example_class)
    pictures = [as_drawable(example, "`example`")]
    for neighbor in neighbors:
        if neighbor.data is None:
            raise ValueError(
                f"The neighbour of rank {neighbor.rank} has no picture: it was indexed "
                "without `data`. Index with `model.index(x, y, data=x)`."
            )
        name = f"The `data` of the neighbour of rank {neighbor.rank}"
        pictures.append(as_drawable(neighbor.data, name))
    named = [class_name(item, class_mapping) for item in (label, *_labels(neighbors))]

    plt = optional_import("matplotlib.pyplot", purpose="Drawing neighbours")
    figure, axes = plt.subplots(
        1, len(pictures), figsize=fig_size, squeeze=False, layout="constrained"
    )
    # In inches: room for two wide frames beside each other.
    figure.get_layout_engine().set(w_pad=1.5 * _WRONG_WIDTH / 72)
    query, *others = axes[0]
    query.imshow(pictures[0], **_colours(pictures[0], cmap))
    query.set_title(f"query: {named[0]}" if label is not None else "query")
    query.set_axis_off()
    for axis, picture, neighbor, name in zip(
        others, pictures[1:], neighbors, named[1:], strict=True
    ):
        wrong = _is_wrong(neighbor.label, label)
        axis.imshow(picture, **_colours(picture, _WRONG_CMAP if wrong else cmap))
        title = f"{name} - {neighbor.distance:.5f}"
        axis.set_title(f"\N{MULTIPLICATION SIGN} {title}" if wrong else title)
        if label is not None and neighbor.label is not None:
            _frame(axis, wrong)
        else:
            axis.set_axis_off()
    # The layout of pictures, whose shape is fixed, settles at the second drawing.
    figure.draw_without_rendering()
    if not show:
        return plt
    plt.show()
    return None


viz_neigbors_imgs = viz_neighbors_imgs
"""The name, misspelt, under which existing notebooks know `viz_neighbors_imgs`."""


def _as_neighbors(neighbors: Any) -> list[Lookup]:
    found = list(neighbors) if hasattr(neighbors, "__iter__") else [neighbors]
    for item in found:
        if not hasattr(item, "distance") or not hasattr(item, "data"):
            raise TypeError(
                "`neighbors` must be the lookups of one query. Received an item of "
                f"type {type(item).__name__}. Pass `model.single_lookup(x)`, or one "
                "row of `model.lookup(x)`: `lookups[0]`."
            )
    return found


def _labels(neighbors: list[Lookup]) -> list[int | str | None]:
    return [as_label(neighbor.label) for neighbor in neighbors]


def _is_wrong(label: Any, expected: int | str | None) -> bool:
    label = as_label(label)
    return label is not None and expected is not None and label != expected


def _colours(picture: np.ndarray, cmap: str) -> dict[str, Any]:
    return {"cmap": cmap} if picture.ndim == 2 else {}


def _frame(axis: Any, wrong: bool) -> None:
    """A thin frame around a neighbour of the query's class, a wide one otherwise."""
    axis.set_xticks([])
    axis.set_yticks([])
    for spine in axis.spines.values():
        spine.set_edgecolor(_WRONG if wrong else _RIGHT)
        spine.set_linewidth(_WRONG_WIDTH if wrong else _RIGHT_WIDTH)
