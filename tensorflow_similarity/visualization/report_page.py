"""The report as a page: sections, tables, contents, style."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from importlib import resources
from string import Template
from typing import Any

# Why a section is missing, where several say it.
NO_LABELS = "no item has a label. Pass `labels`."
NO_PAIR = "no two items have the same label: every class is a class of one."


@dataclass(frozen=True, eq=False)
class Section:
    """One part of the report.

    Args:
        name: of the anchor.
        title: the heading.
        body: HTML below the heading.
        why: why the section could not be made; "" if it was.
        numbers: what it says, by name.
    """

    name: str
    title: str
    body: str = ""
    why: str = ""
    numbers: dict[str, Any] = field(default_factory=dict)

    def html(self) -> str:
        """The section with its heading."""
        why = f'<p class="why">Not here: {escape(self.why)}</p>' if self.why else ""
        return (
            f'<section id="{self.name}" aria-labelledby="{self.name}-title">'
            f'<h2 id="{self.name}-title">{escape(self.title)}</h2>'
            f"{why}{self.body}</section>"
        )


def page(title: str, facts: str, notes: Sequence[str], sections: list[Section]) -> str:
    """The whole page; it asks nothing of any other place.

    Args:
        title: of the page.
        facts: HTML, a table of what was judged.
        notes: sentences on samples and options.
        sections: in their order.
    """
    entries = "".join(
        f'<li><a href="#{section.name}">{escape(section.title)}</a>'
        f"{' (not here)' if section.why else ''}</li>"
        for section in sections
    )
    return Template(_file("report.html")).substitute(
        title=escape(title),
        style=_file("report.css"),
        facts=facts,
        notes="".join(f'<p class="note">{escape(note)}</p>' for note in notes),
        contents=entries,
        sections="\n".join(section.html() for section in sections),
    )


def table(
    caption: str, head: Sequence[str], rows: Sequence[Sequence[str]], texts: int = 1
) -> str:
    """A table; everything in it is escaped.

    Args:
        caption: above it.
        head: titles of the columns.
        rows: cells as text; the first is the row's title.
        texts: how many columns are texts; the others are numbers.
    """
    kinds = ["text" if i < texts else "number" for i in range(len(head))]
    titles = "".join(
        f'<th scope="col" class="{kind}">{escape(text)}</th>'
        for kind, text in zip(kinds, head, strict=True)
    )
    lines = []
    for row in rows:
        first, *others = zip(kinds, row, strict=True)
        cells = "".join(
            f'<td class="{kind}">{escape(text)}</td>' for kind, text in others
        )
        title = f'<th scope="row">{escape(first[1])}</th>'
        lines.append(f"<tr>{title}{cells}</tr>")
    return (
        f'<div class="wide"><table><caption>{escape(caption)}</caption>'
        f"<thead><tr>{titles}</tr></thead><tbody>{''.join(lines)}</tbody></table></div>"
    )


def paragraph(text: str) -> str:
    """A paragraph of plain text."""
    return f"<p>{escape(text)}</p>"


def counted(n: int, one: str, several: str) -> str:
    """1 class, 1,000 classes."""
    return f"{n:,} {one if n == 1 else several}"


def _file(name: str) -> str:
    where = resources.files("tensorflow_similarity.visualization") / "page" / name
    return where.read_text("utf-8")
