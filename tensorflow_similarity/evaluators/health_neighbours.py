"""What the neighbours of items say: near-duplicates, and labels that they doubt."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from tensorflow_similarity.evaluators.class_codes import NO_CLASS
from tensorflow_similarity.search import LinearSearch

# Neighbours held at a time.
_BLOCK_NEIGHBOURS = 2_000_000
# With fewer voters than this, one of them decides too much.
_FEWEST_VOTERS = 3


@dataclass(frozen=True)
class NearDuplicate:
    """Two items with different labels that are nearly one.

    Args:
        id, other_id: the items.
        label, other_label: their labels.
        distance: between them.
    """

    id: int | str
    other_id: int | str
    label: int | str
    other_label: int | str
    distance: float


@dataclass(frozen=True)
class SuspectLabel:
    """An item whose neighbours are of another class.

    Args:
        id: the item.
        label: the label that it has.
        suggested: the label that most of its neighbours have.
        share: of the neighbours that voted, how many have `suggested`.
        own_share: how many have the label of the item.
    """

    id: int | str
    label: int | str
    suggested: int | str
    share: float
    own_share: float


class Neighbours:
    """Items and their neighbours, searched exactly.

    Args:
        distance: name of a distance or a `Distance`.
        items: float32, shape (n, dim).
    """

    def __init__(self, distance: Any, items: np.ndarray):
        self._items = items
        self._search = LinearSearch(distance, items.shape[1])
        self._search.batch_add(items, np.arange(len(items)))

    def nearest(self, rows: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Positions and distances of the k items next to these, themselves left out."""
        positions = np.empty((len(rows), k), np.int64)
        distances = np.empty((len(rows), k), np.float32)
        step = max(1, _BLOCK_NEIGHBOURS // (k + 1))
        for start in range(0, len(rows), step):
            part = slice(start, start + step)
            own = rows[part]
            found, measured = self._search.batch_lookup(self._items[own], k + 1)
            keep = found != own[:, None]
            # Where duplicates pushed the item out of its own answer.
            keep[keep.all(axis=1), -1] = False
            positions[part] = found[keep].reshape(-1, k)
            distances[part] = measured[keep].reshape(-1, k)
        return positions, distances

    def nearest_of_others(
        self,
        codes: np.ndarray,
        positions: np.ndarray,
        distances: np.ndarray,
        limit: float,
    ) -> Iterator[tuple[int, int, float]]:
        """For each item the nearest one of another class, if it is within a limit.

        Args:
            codes: class numbers, -1 without a label.
            positions, distances: neighbours of every item, from `nearest`.
            limit: distance.

        Yields:
            The item, the other and their distance, each two items once.
        """
        rows = np.flatnonzero((codes != NO_CLASS) & (distances[:, 0] <= limit))
        positions, distances = positions[rows], distances[rows]
        seen = set()
        while len(rows):
            near = distances <= limit
            others = codes[positions]
            hits = near & (others != NO_CLASS) & (others != codes[rows, None])
            at = hits.argmax(axis=1)
            for i in np.flatnonzero(hits.any(axis=1)):
                pair = sorted((int(rows[i]), int(positions[i, at[i]])))
                if tuple(pair) not in seen:
                    seen.add(tuple(pair))
                    yield pair[0], pair[1], float(distances[i, at[i]])
            # Of the others some have more items within the limit than were looked up.
            k = positions.shape[1]
            rows = rows[~hits.any(axis=1) & near[:, -1]]
            if k == len(self._items) - 1:
                return
            k = min(4 * k, len(self._items) - 1)
            positions, distances = self.nearest(rows, k)


def votes(
    codes: np.ndarray, positions: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """How the nearest labelled neighbours of each labelled item vote on its class.

    An item of a class of n has min(k, n - 1) voters: more could not agree. Without
    three voters nobody is asked.

    Args:
        codes: class numbers, -1 without a label.
        positions: neighbours of every item, shape (n, k).

    Returns:
        Items that were voted on, the class that most voters have (the nearest of equal
        ones), its share of the votes, and the share of the item's own class.
    """
    sizes = np.bincount(codes[codes != NO_CLASS], minlength=1)
    rows = np.flatnonzero((codes != NO_CLASS) & (sizes[codes] > _FEWEST_VOTERS))
    others = codes[positions[rows]]
    labelled = others != NO_CLASS
    asked = labelled & (np.cumsum(labelled, axis=1) < sizes[codes[rows], None])
    n_votes = asked.sum(axis=1)
    rows, others, asked = (
        part[n_votes >= _FEWEST_VOTERS] for part in (rows, others, asked)
    )
    counts = np.zeros(others.shape, np.int32)
    for j in range(others.shape[1]):
        agree = (others == others[:, j : j + 1]) & asked
        counts[:, j] = np.where(asked[:, j], agree.sum(axis=1), 0)
    winner = counts.argmax(axis=1)[:, None]
    n_votes = asked.sum(axis=1)
    own = ((others == codes[rows, None]) & asked).sum(axis=1)
    return (
        rows,
        np.take_along_axis(others, winner, 1)[:, 0],
        np.take_along_axis(counts, winner, 1)[:, 0] / n_votes,
        own / n_votes,
    )
