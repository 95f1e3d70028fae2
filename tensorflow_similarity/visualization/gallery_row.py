"""One line of a gallery: a query and its neighbours."""

from dataclasses import dataclass

from tensorflow_similarity.visualization.rendering import Rendered

# By mark: what is written, what it means. Blue and vermilion of Okabe and Ito.
SIGNS = {1: "\N{CHECK MARK}", -1: "\N{MULTIPLICATION SIGN}", 0: ""}
WORDS = {1: "right", -1: "wrong", 0: "not judged"}
COLOURS = {1: "#0072B2", -1: "#D55E00", 0: "#888888"}


@dataclass(frozen=True, eq=False)
class Cell:
    """One item.

    Args:
        item: what it looks like.
        title: its label, and for a neighbour the distance.
        mark: 1 for right, -1 for wrong, 0 where a label is missing and for queries.
        detail: its id, in words.
    """

    item: Rendered
    title: str
    mark: int = 0
    detail: str = ""


@dataclass(frozen=True, eq=False)
class GalleryRow:
    """One query.

    Args:
        position: which query it is, from 0.
        query: the query.
        neighbors: the nearest first.
        caption: why it stands where it does.
    """

    position: int
    query: Cell
    neighbors: list[Cell]
    caption: str
