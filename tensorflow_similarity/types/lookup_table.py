"""Lookups as a small HTML table: how a notebook shows them."""

from html import escape
from typing import Any

from tensorflow_similarity._core.pictures import as_picture, data_uri, is_picture
from tensorflow_similarity.types import Lookup, Lookups

_QUERIES, _NEIGHBOURS = 5, 10
# Height of a thumbnail in pixels, and characters of a text.
_THUMBNAIL, _TEXT = 32, 80


def lookup_table(lookups: Lookups) -> str:
    """The neighbours of the first queries, and how many more there are."""
    n_queries, k = lookups.ids.shape
    shown = list(lookups[:_QUERIES])
    with_data = any(_cell(item.data) for row in shown for item in row[:_NEIGHBOURS])
    names = ["query", "rank", "label", "distance", "id", *["data"] * with_data]
    head = "".join(f"<th>{name}</th>" for name in names)
    body = "".join(_rows(i, row, with_data) for i, row in enumerate(shown))
    more = []
    if n_queries > _QUERIES:
        more.append(f"{n_queries - _QUERIES:,} more queries")
    if k > _NEIGHBOURS:
        more.append(f"{k - _NEIGHBOURS:,} more neighbours each")
    note = f" Not shown: {' and '.join(more)}." if more else ""
    return (
        f"<div><p>{escape(repr(lookups))}.{note}</p>"
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _rows(query: int, row: list[Lookup], with_data: bool) -> str:
    shown = row[:_NEIGHBOURS]
    width = 4 + with_data
    if not shown:
        return f'<tr><th>{query}</th><td colspan="{width}">nothing found</td></tr>'
    lines = []
    for i, item in enumerate(shown):
        first = f'<th rowspan="{len(shown)}">{query}</th>' if i == 0 else ""
        label = "" if item.label is None else escape(str(item.label))
        cells = [str(item.rank), label, f"{item.distance:.5f}", escape(str(item.id))]
        cells += [_cell(item.data)] * with_data
        lines.append(
            "<tr>" + first + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"
        )
    return "".join(lines)


def _cell(data: Any) -> str:
    """A thumbnail, the beginning of a text, or nothing."""
    if isinstance(data, str):
        return escape(data if len(data) <= _TEXT else data[: _TEXT - 1] + "…")
    if not is_picture(data):
        return ""
    picture = as_picture(data, "picture")
    # A few pixels drawn large are to be seen as they are.
    crisp = "image-rendering:pixelated;" * (max(picture.shape[:2]) < _THUMBNAIL)
    return (
        f'<img src="{data_uri(picture, _THUMBNAIL)}" alt="picture" '
        f'style="{crisp}height:{_THUMBNAIL}px">'
    )
