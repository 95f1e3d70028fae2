"""A gallery as HTML: one file, without scripts and without a network."""

from html import escape

from tensorflow_similarity.visualization.gallery_row import (
    COLOURS,
    SIGNS,
    WORDS,
    Cell,
    GalleryRow,
)

# Letters and ground are the reader's own, so that dark notebooks stay dark; the frames
# stand out on both.
_STYLE = """
.tfsim-gallery { font: 13px/1.35 system-ui, sans-serif; }
.tfsim-gallery h2 { font-size: 1.25em; margin: 0 0 .2em; }
.tfsim-gallery .row { padding: .5em 0 .7em; border-top: 1px solid #8886; }
.tfsim-gallery .caption { margin: 0 0 .4em; opacity: .8; }
.tfsim-gallery .cells { display: flex; flex-wrap: wrap; gap: 6px; }
.tfsim-gallery figure { margin: 0; padding: 4px; border: 2px solid #8886;
  border-radius: 4px; min-width: 8em; max-width: 16em; overflow-wrap: anywhere; }
.tfsim-gallery figure.query { border-style: dashed; margin-right: 12px; }
.tfsim-gallery figure.right { border-color: RIGHT; }
.tfsim-gallery figure.wrong { border: 5px solid WRONG; padding: 1px; }
.tfsim-gallery figcaption { margin-top: 2px; font-size: .92em;
  width: 0; min-width: 100%; }
.tfsim-gallery .sign { font-weight: bold; padding: 0 .3em; color: #fff;
  border-radius: 3px; background: #888; print-color-adjust: exact; }
.tfsim-gallery .right .sign { background: RIGHT; }
.tfsim-gallery .wrong .sign { background: WRONG; }
.tfsim-gallery small { opacity: .7; }
.tfsim-gallery .text { white-space: pre-wrap; display: block; max-height: 12em;
  overflow: auto; }
.tfsim-gallery img { display: block; max-width: 100%; }
.tfsim-gallery .row { break-inside: avoid; }
""".replace("RIGHT", COLOURS[1]).replace("WRONG", COLOURS[-1])

_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<title>{title}</title></head><body>{body}</body></html>
"""


def page(rows: list[GalleryRow], title: str, note: str, size: int) -> str:
    """The gallery as a whole page."""
    body = fragment(rows, title, note, size)
    return _PAGE.format(title=escape(title), body=body)


def fragment(rows: list[GalleryRow], title: str, note: str, size: int) -> str:
    """The gallery as a part of a page; pictures `size` pixels high.

    Without a title there is no heading: the page has its own.
    """
    lines = "".join(_row(row, size) for row in rows)
    heading = f"<h2>{escape(title)}</h2>" if title else ""
    return (
        f'<div class="tfsim-gallery"><style>{_STYLE}</style>{heading}'
        f"<p>{escape(note)}. {_legend()}</p>{lines}</div>"
    )


def _legend() -> str:
    parts = [
        f'<span class="{WORDS[mark]}"><span class="sign">{SIGNS[mark]}</span> '
        f"{'the class of the query' if mark > 0 else 'another class'}</span>"
        for mark in (1, -1)
    ]
    return ", ".join(parts) + "."


def _row(row: GalleryRow, size: int) -> str:
    caption = f"query {row.position}" + f": {row.caption}" * bool(row.caption)
    cells = _cell(row.query, size, "query")
    cells += "".join(_cell(item, size, WORDS[item.mark]) for item in row.neighbors)
    if not row.neighbors:
        cells += "<figure>nothing found</figure>"
    return (
        f'<div class="row"><p class="caption">{escape(caption)}</p>'
        f'<div class="cells">{cells}</div></div>'
    )


def _cell(cell: Cell, size: int, kind: str) -> str:
    sign = SIGNS[cell.mark]
    marked = f'<span class="sign" title="{kind}">{sign}</span> ' if sign else ""
    detail = f"<br><small>{escape(cell.detail)}</small>" if cell.detail else ""
    return (
        f'<figure class="{kind}">{cell.item.html(size, cell.title)}'
        f"<figcaption>{marked}{escape(cell.title)}{detail}</figcaption></figure>"
    )
