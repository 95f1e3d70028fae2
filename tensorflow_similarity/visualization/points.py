"""What is drawn: embeddings with all that is known of them, checked at the door."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tensorflow_similarity._core import doors
from tensorflow_similarity.visualization.thumbnails import are_pictures

# Two points have no picture worth a layout.
_FEWEST = 3
# What the page calls what it says of points itself.
_OWN_NAMES = ("label", "id", "distance", "right or wrong", "right or wrong neighbour")


@dataclass(frozen=True, eq=False)
class Points:
    """Points to draw; everything has one entry for each of the n.

    Args:
        embeddings: float32, shape (n, dim).
        labels: as `doors.as_labels` gives them; None where there are none at all.
        ids: numbers from 0, or an index's ids.
        images: pictures, not yet checked, or None.
        columns: further facts by name.
        wrong: bool, shape (n,), or None.
    """

    embeddings: np.ndarray
    labels: np.ndarray | None
    ids: Sequence[Any]
    images: Any
    columns: dict[str, Sequence[Any]]
    wrong: np.ndarray | None

    def __len__(self) -> int:
        return len(self.embeddings)

    def take(self, rows: np.ndarray) -> "Points":
        """Some of the points, in that order."""

        def some(part: Any) -> Any:
            if part is None or isinstance(part, np.ndarray):
                return part if part is None else part[rows]
            return [part[i] for i in rows.tolist()]

        return replace(
            self,
            embeddings=self.embeddings[rows],
            labels=some(self.labels),
            ids=some(self.ids),
            images=some(self.images),
            columns={name: some(column) for name, column in self.columns.items()},
            wrong=some(self.wrong),
        )

    def renamed(self) -> "tuple[Points, list[str]]":
        """Columns by names that the page does not use itself, and a note on each."""
        columns: dict[str, Sequence[Any]] = {}
        notes = []
        for name, column in self.columns.items():
            new = name
            while new in _OWN_NAMES or (new != name and new in self.columns):
                new += " (column)"
            columns[new] = column
            if new != name:
                notes.append(f'The column "{name}" is called "{new}".')
        return replace(self, columns=columns), notes


def is_index(given: Any) -> bool:
    """Whether it is an index: its items are iterated, and it has a distance."""
    return hasattr(given, "embedding_size") and hasattr(given, "distance")


def points_of(
    embeddings: Any,
    labels: Any,
    images: Any,
    tooltips_info: Any,
    metadata: Any,
    errors: Any,
    needed_by: str = "The projector",
) -> Points:
    """The points of arrays, or of an index, which what else is given overrides.

    Args:
        needed_by: who asks, for the message.

    Raises:
        ValueError: for fewer than 3 points, embeddings that are not finite, or another
            number of labels, pictures, texts or column entries than of embeddings.
        TypeError: for columns that are no dict.
    """
    columns: dict[str, Sequence[Any]] = {}
    ids: Sequence[Any] | None = None
    if is_index(embeddings):
        items = list(embeddings)
        ids = [item.id for item in items]
        if labels is None and any(item.label is not None for item in items):
            labels = [item.label for item in items]
        data = [item.data for item in items]
        if images is None and are_pictures(data):
            images = data
        elif all(isinstance(item, str) for item in data):
            columns["data"] = data
        for name in _keys(item.metadata for item in items):
            columns[name] = [(item.metadata or {}).get(name) for item in items]
        # An index that is empty has no rows to stack.
        embeddings = np.zeros((len(items), embeddings.embedding_size), np.float32)
        for i, item in enumerate(items):
            embeddings[i] = item.embedding
    # An empty list has no width to complain of.
    is_empty = isinstance(embeddings, list | tuple) and not embeddings
    is_empty |= getattr(embeddings, "shape", None) == (0,)
    rows = doors.as_embeddings(np.empty((0, 1)) if is_empty else embeddings, None)
    n = len(rows)
    if n < _FEWEST:
        raise ValueError(f"{needed_by} needs at least {_FEWEST} points. Received: {n}.")
    if tooltips_info is not None:
        is_table = isinstance(tooltips_info, Mapping) or hasattr(
            tooltips_info, "columns"
        )
        texts = tooltips_info if is_table else {"info": tooltips_info}
        columns.update(_columns(texts, n, "tooltips_info"))
    if metadata is not None:
        columns.update(_columns(metadata, n, "metadata"))
    return Points(
        rows,
        None if labels is None else doors.as_labels(labels, n),
        range(n) if ids is None else ids,
        _counted_images(images, n),
        columns,
        None if errors is None else _as_wrong(errors, n),
    )


def _keys(dicts: Any) -> list[str]:
    """The keys of all, in the order in which they first come."""
    found: dict[str, None] = {}
    for item in dicts:
        found.update(dict.fromkeys(item or ()))
    return list(found)


def _columns(table: Any, n: int, name: str) -> dict[str, Sequence[Any]]:
    """Columns of a dict of sequences, a data frame, or a list of dicts."""
    is_rows = isinstance(table, list | tuple)
    if is_rows and len(table) and all(isinstance(row, Mapping) for row in table):
        _check_length(name, len(table), n)
        table = {key: [row.get(key) for row in table] for key in _keys(table)}
    elif hasattr(table, "columns") and hasattr(table, "__getitem__"):
        table = {str(key): table[key].tolist() for key in table.columns}
    if not isinstance(table, Mapping):
        raise TypeError(
            f"`{name}` must be a dict from names to {n} values each, a data frame, or "
            f"a list of {n} dicts. Received: {type(table).__name__}."
        )
    columns: dict[str, Sequence[Any]] = {}
    for key, column in table.items():
        if isinstance(column, str) or not hasattr(column, "__len__"):
            column = doors.as_array(column)
        values = column if isinstance(column, list) else doors.as_array(column).tolist()
        values = values if isinstance(values, list) else [values]
        _check_length(f"{name}[{key!r}]" if key != "info" else name, len(values), n)
        columns[str(key)] = values
    return columns


def _check_length(name: str, received: int, n: int) -> None:
    if received != n:
        raise ValueError(
            f"`{name}` must have one entry for each embedding: {n}. Received: "
            f"{received}."
        )


def _counted_images(images: Any, n: int) -> Any:
    if images is None:
        return None
    if not hasattr(images, "__len__") or not hasattr(images, "__getitem__"):
        raise ValueError(
            "`images` must be a sequence of pictures. Received: "
            f"{type(images).__name__}."
        )
    if hasattr(images, "detach") or not isinstance(images, list | tuple | np.ndarray):
        images = doors.as_array(images)
    _check_length("images", len(images), n)
    return images


def _as_wrong(errors: Any, n: int) -> np.ndarray:
    array = doors.as_array(errors)
    whole = array.dtype.kind == "b" or (
        array.dtype.kind in "iu" and np.isin(array, (0, 1)).all()
    )
    if array.shape != (n,) or not whole:
        raise ValueError(
            f"`errors` must be {n} booleans, True where the point is wrong: "
            "`errors=predicted != labels`. Received: "
            f"shape={array.shape}, dtype={array.dtype}."
        )
    return array.astype(bool)
