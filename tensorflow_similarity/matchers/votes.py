"""Neighbours that vote on the label of their query."""

import numpy as np

from tensorflow_similarity._core import label_rows

# Neighbours whose votes are counted together: some ten megabytes.
_BLOCK_NEIGHBOURS = 500_000


def elect(
    labels: np.ndarray, distances: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The label with the most votes, and the distance of its nearest neighbour.

    Labels with equal votes: the one with the nearest neighbour. Without a single vote:
    no label, at an infinite distance.

    Args:
        labels: shape (n, k).
        distances: shape (n, k), ascending; inf where there is no neighbour.
        weights: float64, shape (n, k), what each neighbour's vote counts, from 0.

    Returns:
        labels and distances, shape (n, 1) each.
    """
    numbers = label_rows.codes(labels)
    may_vote = (numbers >= 0) & np.isfinite(distances)
    winners = np.zeros(len(labels), np.int64)
    step = max(1, _BLOCK_NEIGHBOURS // labels.shape[1])
    for start in range(0, len(labels), step):
        block = slice(start, start + step)
        # The first of equal columns wins, and it is the nearest.
        winners[block] = _votes(numbers[block], weights[block], may_vote[block]).argmax(
            axis=1
        )
    rows = np.arange(len(labels))
    elected, nearest = labels[rows, winners], distances[rows, winners]
    nobody = ~may_vote.any(axis=1)
    elected[nobody] = label_rows.nothing_like(labels)
    nearest[nobody] = np.inf
    return elected[:, None], nearest[:, None]


def _votes(
    numbers: np.ndarray, weights: np.ndarray, may_vote: np.ndarray
) -> np.ndarray:
    """At each neighbour the votes for its label; -1 where it may not vote."""
    weights = np.where(may_vote, weights, 0.0)
    votes = np.empty(weights.shape)
    for column in range(weights.shape[1]):
        of_its_label = numbers == numbers[:, column, None]
        # Rounded, so that the order of a sum does not break a tie.
        votes[:, column] = (weights * of_its_label).sum(axis=1).round(12)
    return np.where(may_vote, votes, -1.0)
