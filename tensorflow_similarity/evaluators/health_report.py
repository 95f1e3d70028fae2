"""The report on a set of embeddings: numbers, lists of items, and words."""

import html
from dataclasses import dataclass, field

from tensorflow_similarity.evaluators.health_neighbours import (
    NearDuplicate,
    SuspectLabel,
)

# Items of a list that the table shows.
_SHOWN = 5
# Embeddings can pass the checks and still not tell the classes apart.
_NO_FAULT = "None of these checks found anything."

_TITLES = {
    "n_items": "items",
    "dim": "dimensions",
    "n_not_finite": "rows that are not finite, or beyond 1e16",
    "n_zero": "zero rows",
    "share_of_repeats": "rows that repeat an earlier one",
    "relative_std": "spread, 1 on the whole sphere",
    "effective_rank": "effective rank",
    "n_flat_dimensions": "dimensions that hardly vary",
    "uniformity": "uniformity, lower is better",
    "alignment": "alignment, lower is better",
    "hubness_skewness": "hubness, skewness",
    "share_of_anti_hubs": "items that are nobody's neighbour",
    "n_classes": "classes",
    "n_unlabelled": "items without a label",
    "smallest_class": "items in the smallest class",
    "largest_class": "items in the largest class",
    "n_singletons": "classes of one item",
    "near_duplicate_distance": "distance of near-duplicates",
    "n_near_duplicates": "items with a near-duplicate of another label",
    "n_suspect_labels": "labels that the neighbours doubt",
}


@dataclass(frozen=True)
class EmbeddingHealth:
    """What `embedding_health` found. It prints as a table, in notebooks too.

    Args:
        numbers: by name, those that could be computed.
        faults: name of a number to what is wrong with it, in words.
        not_finite: ids of rows with NaN, infinity or numbers beyond 1e16, which
            all else leaves out.
        zero: ids of rows without a direction.
        flat_dimensions: numbers of dimensions that hardly vary.
        singletons: labels that one item has.
        near_duplicates: `NearDuplicate`s, of each item that has some the nearest one,
            each pair once, the nearest first.
        suspect_labels: `SuspectLabel`s, the surest first.
    """

    numbers: dict[str, float]
    faults: dict[str, str]
    not_finite: list[int | str] = field(default_factory=list)
    zero: list[int | str] = field(default_factory=list)
    flat_dimensions: list[int] = field(default_factory=list)
    singletons: list[int | str] = field(default_factory=list)
    near_duplicates: list[NearDuplicate] = field(default_factory=list)
    suspect_labels: list[SuspectLabel] = field(default_factory=list)

    @property
    def warnings(self) -> list[str]:
        """What the checks found, in words, one text a fault; empty if nothing."""
        return list(self.faults.values())

    def to_dict(self) -> dict[str, float]:
        """The numbers by name."""
        return dict(self.numbers)

    def __str__(self) -> str:
        width = max(len(title) for title, _, _ in self._rows())
        lines = ["Embedding health"]
        for title, value, is_fault in self._rows():
            lines.append(f"{'!' if is_fault else ' '} {title:<{width}}  {value:>12}")
        lines += [f"! {words}" for words in self.warnings] or [_NO_FAULT]
        for title, texts in self._lists():
            lines += [f"  {title}", *(f"    {text}" for text in texts)]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{'&#9888;' if is_fault else ''}</td>"
            f"<td>{html.escape(title)}</td><td>{html.escape(value)}</td></tr>"
            for title, value, is_fault in self._rows()
        )
        texts = "".join(f"<li>{html.escape(words)}</li>" for words in self.warnings)
        lists = "".join(
            f"<p>{html.escape(title)}</p><ul>"
            + "".join(f"<li>{html.escape(text)}</li>" for text in given)
            + "</ul>"
            for title, given in self._lists()
        )
        return (
            "<table><caption>Embedding health</caption>"
            f"{rows}</table><ul>{texts or f'<li>{_NO_FAULT}</li>'}</ul>{lists}"
        )

    def _rows(self) -> list[tuple[str, str, bool]]:
        """Title, value as text, and whether it is a fault."""
        return [
            (title, _as_text(name, self.numbers[name]), name in self.faults)
            for name, title in _TITLES.items()
            if name in self.numbers
        ]

    def _lists(self) -> list[tuple[str, list[str]]]:
        """Titles and the first items of the lists that are not empty."""
        duplicates = [
            f"{pair.id!r} ({pair.label!r}) and {pair.other_id!r} "
            f"({pair.other_label!r}), distance {pair.distance:.4g}"
            for pair in self.near_duplicates[:_SHOWN]
        ]
        suspects = [
            f"{item.id!r} has {item.label!r}, {item.share:.0%} of its neighbours have "
            f"{item.suggested!r}"
            for item in self.suspect_labels[:_SHOWN]
        ]
        lists = [
            (
                "Near-duplicates, the nearest of each item, "
                f"{len(self.near_duplicates)} pairs:",
                duplicates,
            ),
            (f"Doubtful labels, {len(self.suspect_labels)} in all:", suspects),
        ]
        return [(title, texts) for title, texts in lists if texts]


def _as_text(name: str, value: float) -> str:
    if name.startswith("share_"):
        return f"{value:.1%}"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"
