"""A gallery as a Matplotlib figure."""

import textwrap
from typing import Any

from tensorflow_similarity._core.optional import optional_import
from tensorflow_similarity.visualization.drawing import shortened
from tensorflow_similarity.visualization.gallery_row import (
    COLOURS,
    SIGNS,
    Cell,
    GalleryRow,
)

# Inches above each row for titles and caption, and above all.
_ABOVE, _TOP = 0.75, 0.6
# Characters and lines of text that an inch holds at 8 points.
_CHARACTERS, _LINES = 13, 7
# Widths of the frames in points.
_WIDTHS = {1: 2, -1: 5, 0: 0.8}


def draw(rows: list[GalleryRow], title: str, note: str, size: float, cmap: str) -> Any:
    """The figure: a row for each query, the query on the left.

    Raises:
        ImportError: if Matplotlib is missing.
    """
    plt = optional_import("matplotlib.pyplot", purpose="Drawing a gallery")
    n_columns = 1 + max((len(row.neighbors) for row in rows), default=0)
    n_rows = max(len(rows), 1)
    width = max(n_columns * (size + 0.25) + 0.2, 4.0)
    height = n_rows * (size + _ABOVE) + _TOP
    # Laid out by hand: hundreds of axes take constrained layout minutes.
    figure = plt.figure(figsize=(width, height))
    figure.text(0.1 / width, 1 - 0.25 / height, title, fontsize=12, parse_math=False)
    figure.text(0.1 / width, 1 - 0.45 / height, note, fontsize=8, parse_math=False)
    for i, row in enumerate(rows):
        bottom = height - _TOP - (i + 1) * (size + _ABOVE) + 0.1
        words = f"query {row.position}" + f": {row.caption}" * bool(row.caption)
        figure.text(
            0.1 / width,
            (bottom + size + 0.42) / height,
            words,
            fontsize=9,
            parse_math=False,
        )
        for j, cell in enumerate([row.query, *row.neighbors]):
            left = 0.1 + j * (size + 0.25)
            place = (left / width, bottom / height, size / width, size / height)
            _draw_cell(figure.add_axes(place), cell, size, cmap, is_query=j == 0)
    return figure


def _draw_cell(axis: Any, cell: Cell, size: float, cmap: str, is_query: bool) -> None:
    picture = cell.item.picture
    if picture is not None:
        options = {"cmap": cmap} if picture.ndim == 2 else {}
        axis.imshow(picture, **options)
    else:
        lines = []
        for line in cell.item.words().splitlines():
            lines += textwrap.wrap(line, int(_CHARACTERS * size)) or [""]
        most = int(_LINES * size)
        if len(lines) > most:
            lines = [*lines[: most - 1], "…"]
        axis.text(
            0.04,
            0.96,
            "\n".join(lines),
            fontsize=8,
            va="top",
            parse_math=False,
            transform=axis.transAxes,
        )
    axis.set_xticks([])
    axis.set_yticks([])
    for spine in axis.spines.values():
        spine.set_edgecolor(COLOURS[cell.mark])
        spine.set_linewidth(_WIDTHS[cell.mark])
        spine.set_linestyle("--" if is_query else "-")
    sign = SIGNS[cell.mark]
    label, dash, distance = cell.title.rpartition(" - " if not is_query else "\0")
    # The distance stays whole where the name is long.
    words = shortened(label if dash else cell.title, int(9 * size))
    words += f" - {distance}" if dash else ""
    title = f"{sign} {words}" if sign else words
    axis.set_title(title, fontsize=8, parse_math=False)
