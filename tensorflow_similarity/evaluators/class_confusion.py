"""Which classes the neighbours of a class belong to."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from tensorflow_similarity._core import doors
from tensorflow_similarity.evaluators.class_codes import class_codes
from tensorflow_similarity.evaluators.lookup_arrays import as_lookups
from tensorflow_similarity.search import LinearSearch
from tensorflow_similarity.types import Lookups

# Neighbours held at a time.
_BLOCK_NEIGHBOURS = 2_000_000


@dataclass(frozen=True, eq=False)
class ClassConfusion:
    """Which classes an index confuses: the classes of neighbours, class by class.

    Held sparse: only pairs of classes that occur.

    Args:
        classes: labels, ascending, shape (n_classes,).
        sources, targets: places in `classes`, shape (n_pairs,), by source and falling
            share; a class with itself included.
        shares: float64, shape (n_pairs,). Of the labelled neighbours that the items of
            the source have, the share that is of the target; those of a source sum
            to 1.
    """

    classes: np.ndarray
    sources: np.ndarray
    targets: np.ndarray
    shares: np.ndarray

    def matrix(self) -> np.ndarray:
        """Shares as an array, shape (n_classes, n_classes), sources in rows."""
        dense = np.zeros((len(self.classes), len(self.classes)))
        dense[self.sources, self.targets] = self.shares
        return dense

    def rivals(self, n: int) -> tuple[np.ndarray, np.ndarray]:
        """The n other classes that each class is most confused with.

        Returns:
            places in `classes`, -1 where there are no more, and their shares, 0 there;
            shape (n_classes, n).
        """
        n_classes = len(self.classes)
        other = self.sources != self.targets
        sources, targets = self.sources[other], self.targets[other]
        starts = np.searchsorted(sources, np.arange(n_classes))
        ranks = np.arange(len(sources)) - starts[sources]
        first = ranks < n
        rows = np.full((n_classes, n), -1, np.int64)
        shares = np.zeros((n_classes, n))
        rows[sources[first], ranks[first]] = targets[first]
        shares[sources[first], ranks[first]] = self.shares[other][first]
        return rows, shares

    def most_confused(self, n: int = 10) -> list[tuple[Any, Any, float]]:
        """The n largest (label, label of the neighbours, share) of two classes.

        Raises:
            ValueError: for anything but an integer n of at least 0.
        """
        n = doors.as_count(n, "n", least=0)
        other = np.flatnonzero(self.sources != self.targets)
        largest = other[np.argsort(-self.shares[other], kind="stable")[:n]]
        labels = self.classes.tolist()
        columns = (self.sources[largest], self.targets[largest], self.shares[largest])
        return [
            (labels[source], labels[target], share)
            for source, target, share in zip(
                *(column.tolist() for column in columns), strict=True
            )
        ]

    def __repr__(self) -> str:
        return f"ClassConfusion(n_classes={len(self.classes)})"


def class_confusion(
    embeddings: Any, labels: Any, k: int = 10, distance: Any = "cosine"
) -> ClassConfusion:
    """Which classes are confused: the labels of the k nearest neighbours, by class.

    share(a, b) = neighbours with label b of the items of class a
                  / labelled neighbours of the items of class a

    Every labelled item asks for its k nearest others, exactly, block by block. Items
    without a label are neither asked for nor counted. A class without a labelled
    neighbour has no shares.

    Args:
        embeddings: shape (n, dim); or `Lookups`, or a list of lists of `Lookup`, of n
            queries, taken as they are: leave the items themselves out of them.
        labels: of the n items or queries, integers or strings.
        k: neighbours of each, at least 1; of lookups, the first k. Defaults to 10.
        distance: for embeddings, a name or a `Distance`. Defaults to "cosine".

    Returns:
        `ClassConfusion`.

    Raises:
        ValueError: for wrong shapes, k below 1, or fewer than two items.
        TypeError: for labels that are neither integers nor strings, or of two kinds.

    Example:
        >>> x = [[0.0], [1.0], [1.8], [5.0], [6.0]]
        >>> found = class_confusion(x, list("aabbb"), k=1, distance="euclidean")
        >>> found.matrix().round(2).tolist()
        [[0.5, 0.5], [0.33, 0.67]]
        >>> found.most_confused(1)
        [('a', 'b', 0.5)]
    """
    k = doors.as_k(k)
    looked_up = isinstance(embeddings, Lookups) or (
        isinstance(embeddings, list) and embeddings and _holds_lookups(embeddings)
    )
    if looked_up:
        lookups = as_lookups(embeddings)
        asked = doors.as_labels(labels, len(lookups))
        none: Any = None
        near = np.where(lookups.found[:, :k], lookups.labels[:, :k], none)
        near_labels = doors.as_labels(near.reshape(-1), near.size, "labels of lookups")
        (sources, targets), classes = class_codes(
            asked, near_labels, names=("labels", "labels of lookups")
        )
        found = _counts(np.repeat(sources, near.shape[1]), targets, len(classes))
        return _of_counts(classes, *found)
    items = doors.as_embeddings(embeddings, None)
    asked = doors.as_labels(labels, len(items))
    if len(items) < 2:
        raise ValueError(
            f"`embeddings` must hold at least two items. Received: {len(items)}."
        )
    (codes,), classes = class_codes(asked)
    search = LinearSearch(distance, items.shape[1])
    labelled = np.flatnonzero(codes >= 0)
    search.batch_add(items[labelled], labelled)
    keys, totals = np.empty(0, np.int64), np.empty(0, np.int64)
    step = max(1, _BLOCK_NEIGHBOURS // (k + 1))
    for start in range(0, len(labelled), step):
        own = labelled[start : start + step]
        near, _ = search.batch_lookup(items[own], k + 1)
        others = near != own[:, None]
        if near.shape[1] == k + 1:
            others[others.all(axis=1), -1] = False
        sources = np.repeat(codes[own], others.sum(axis=1))
        new, counts = _counts(sources, codes[near[others]], len(classes))
        keys, totals = np.concatenate([keys, new]), np.concatenate([totals, counts])
    return _of_counts(classes, keys, totals)


def _holds_lookups(rows: list[Any]) -> bool:
    """Whether a list is one of lists of `Lookup`."""
    first = next((row[0] for row in rows if isinstance(row, list) and row), None)
    return hasattr(first, "distance")


def _counts(
    sources: np.ndarray, targets: np.ndarray, n_classes: int
) -> tuple[np.ndarray, np.ndarray]:
    """Pairs source * n_classes + target that occur, and how often."""
    known = (sources >= 0) & (targets >= 0)
    # Codes are of 32 bits, and the square of 46,341 classes is not.
    keys = sources[known].astype(np.int64) * n_classes + targets[known]
    return np.unique(keys, return_counts=True)


def _of_counts(
    classes: np.ndarray, keys: np.ndarray, counts: np.ndarray
) -> ClassConfusion:
    keys, places = np.unique(keys, return_inverse=True)
    summed = np.bincount(places, counts, minlength=len(keys))
    sources, targets = np.divmod(keys, max(1, len(classes)))
    of_source = np.bincount(sources, summed, minlength=len(classes))
    shares = summed / of_source[sources]
    order = np.lexsort((targets, -shares, sources))
    return ClassConfusion(classes, sources[order], targets[order], shares[order])
