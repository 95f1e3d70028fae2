"""Hard negatives: what an index ranks high and should not."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from tensorflow_similarity._core import doors
from tensorflow_similarity.evaluators.class_codes import class_codes
from tensorflow_similarity.evaluators.hard_negatives_checks import (
    as_pairs,
    check_choices,
    checked_range,
)
from tensorflow_similarity.evaluators.hard_negatives_search import (
    NegativeSearch,
    nearest_positives,
    pair_distances,
)
from tensorflow_similarity.search import LinearSearch, Search


@dataclass(frozen=True, eq=False)
class HardNegatives:
    """Negatives of pairs of an anchor and a positive, as rows of the arrays given.

    Args:
        anchors: int64, shape (n_pairs,).
        positives: int64, shape (n_pairs,); -1 where the anchor has none.
        negatives: int64, shape (n_pairs, n_negatives), nearest first; -1 where no more
            were found.
        scores: None, or columns of equal length with one entry a negative: "anchor",
            "positive", "negative", "rank" among the anchor's negatives from 0,
            "positive_score" (NaN without a positive) and "negative_score";
            `pandas.DataFrame(scores)` makes a table of them.
    """

    anchors: np.ndarray
    positives: np.ndarray
    negatives: np.ndarray
    scores: dict[str, np.ndarray] | None = None

    @property
    def n_short(self) -> int:
        """Number of pairs with fewer negatives than were asked for."""
        return int((self.negatives < 0).any(axis=1).sum())

    def triplets(self) -> np.ndarray:
        """Rows [anchor, positive, negative] of all that are complete, shape (m, 3)."""
        whole = (self.negatives >= 0) & (self.positives >= 0)[:, None]
        pairs, places = np.nonzero(whole)
        columns = self.anchors[pairs], self.positives[pairs]
        return np.stack([*columns, self.negatives[pairs, places]], axis=1)

    def __repr__(self) -> str:
        n_pairs, n_negatives = self.negatives.shape
        return (
            f"HardNegatives(n_pairs={n_pairs}, n_negatives={n_negatives}, "
            f"n_short={self.n_short})"
        )


def mine_hard_negatives(
    embeddings: Any,
    labels: Any = None,
    *,
    positives: Any = None,
    query_embeddings: Any = None,
    query_labels: Any = None,
    n_negatives: int = 3,
    range_min: int = 0,
    range_max: int | None = None,
    relative_margin: float | None = None,
    absolute_margin: float | None = None,
    min_score: float | None = None,
    max_score: float | None = None,
    distance: Any = "cosine",
    search: Search | None = None,
    sampling: str = "top",
    seed: int = 0,
    return_scores: bool = False,
) -> HardNegatives:
    """For each anchor and positive, the nearest items that are negatives.

    The items that are neither the anchor, nor a positive of it, nor of its label, are
    ranked by their distance to the anchor, the nearest at rank 0. Of the ranks from
    `range_min` to `range_max` - 1 those remain whose score s passes

        s <= max_score,  s >= min_score,
        s <= s_positive - absolute_margin,
        s <= s_positive - relative_margin * |s_positive|

    and of these `n_negatives` are taken. A score is 1 - distance by cosine, and
    -distance by other distances: higher is nearer. The nearest negatives are often
    positives that nobody labelled; skip them by `range_min`, or by a margin below the
    score of the positive.

    By labels, every labelled item, or query, is an anchor, and its positive is the
    nearest other item of its label; items without a label are left out. Where an anchor
    has no positive, nothing passes a margin.

    The search is exact and goes by blocks; memory is that of the answer.

    Args:
        embeddings: items, shape (n, dim).
        labels: of the n items, integers or strings. Defaults to None: `positives` say
            it all.
        positives: rows of `embeddings`: shape (n_anchors,), one of each anchor, or
            pairs [anchor, positive], shape (n_pairs, 2). All positives of an anchor
            are kept out of its negatives. Defaults to None: by `labels`.
        query_embeddings: anchors, shape (n_anchors, dim). Defaults to None: the items
            are the anchors.
        query_labels: of the anchors, given with `query_embeddings` and `labels`.
        n_negatives: of each pair, at least 1. Defaults to 3.
        range_min: nearest negatives to skip, at least 0. Defaults to 0.
        range_max: rank at which to end, at least `range_min + n_negatives`. Defaults
            to None: just enough; with a margin, a score or random sampling, 10 times
            as many.
        relative_margin, absolute_margin: at least 0. Default to None: no margin.
        min_score, max_score: bounds of the score. Default to None: none.
        distance: a name or a `Distance`. Defaults to "cosine".
        search: a `Search` that holds the rows of `embeddings` by the ids 0 to n - 1, an
            approximate one for large n; its distance counts. Defaults to None: exact.
        sampling: "top", the nearest of those that remain, or "random" ones of them.
        seed: of random sampling.
        return_scores: whether the answer has `scores`.

    Returns:
        `HardNegatives`.

    Raises:
        ValueError: for wrong shapes, rows that are not there, numbers out of range, an
            unknown sampling, or neither labels nor positives.
        TypeError: for labels of two kinds, or a `search` that is none.

    Example:
        >>> x = [[0.0], [1.0], [1.4], [9.0]]
        >>> mined = mine_hard_negatives(
        ...     x, ["a", "a", "b", "b"], distance="euclidean", n_negatives=1
        ... )
        >>> mined.triplets().tolist()
        [[0, 1, 2], [1, 0, 2], [2, 3, 1], [3, 2, 1]]

    Reference:
        Xiong et al., "Approximate Nearest Neighbor Negative Contrastive Learning for
        Dense Text Retrieval", ICLR 2021; margins below the positive: Moreira et al.,
        "NV-Retriever: Improving Text Embedding Models with Effective Hard-Negative
        Mining", 2024. The arguments follow `mine_hard_negatives` of
        sentence-transformers.
    """
    bounds = (relative_margin, absolute_margin, min_score, max_score)
    filters = any(bound is not None for bound in bounds) or sampling == "random"
    start, stop = checked_range(n_negatives, range_min, range_max, filters)
    check_choices(relative_margin, absolute_margin, min_score, max_score, sampling)
    items = doors.as_embeddings(embeddings, None)
    alone = query_embeddings is None
    anchors = items
    if not alone:
        anchors = doors.as_embeddings(
            query_embeddings, items.shape[1], "query_embeddings"
        )
    if labels is None and positives is None:
        raise ValueError(
            "`mine_hard_negatives` needs `labels` or `positives`, to know which items "
            "are no negatives."
        )
    if (query_labels is not None) == (alone or labels is None):
        raise ValueError(
            "`query_labels` are given together with `query_embeddings` and `labels`. "
            f"Received: query_labels={'None' if query_labels is None else 'labels'}."
        )
    if search is not None and not isinstance(search, Search):
        raise TypeError(
            "`search` must be a `Search` that holds the rows of `embeddings`, or None "
            f"for an exact one. Received: {search!r}."
        )
    given = LinearSearch(distance, items.shape[1]) if search is None else search
    if search is None:
        given.batch_add(items, np.arange(len(items)))
    elif len(search) != len(items) or search.dim != items.shape[1]:
        raise ValueError(
            f"`search` must hold the rows of `embeddings`, {items.shape}. Received: "
            f"{len(search)} rows of width {search.dim}."
        )
    codes = anchor_codes = None
    if labels is not None:
        item_labels = doors.as_labels(labels, len(items))
        asked = item_labels
        if not alone:
            asked = doors.as_labels(query_labels, len(anchors), "query_labels")
        (codes, anchor_codes), _ = class_codes(item_labels, asked)
    if positives is not None:
        pairs = as_pairs(positives, len(anchors), len(items), alone)
        distances = pair_distances(given, anchors, items, pairs)
    else:
        pairs, distances = nearest_positives(
            given, anchors, items, anchor_codes, codes, alone
        )
    negatives = NegativeSearch(
        given,
        items,
        codes,
        pairs if positives is not None else pairs[:0],
        alone=alone,
        exact=search is None,
    )
    to_score = (lambda d: 1.0 - d) if given.distance.name == "cosine" else np.negative
    positive_scores = to_score(distances)
    limits = np.full(len(pairs), np.inf if max_score is None else float(max_score))
    if absolute_margin is not None:
        limits = np.fmin(limits, positive_scores - absolute_margin)
    if relative_margin is not None:
        margins = relative_margin * np.abs(positive_scores)
        limits = np.fmin(limits, positive_scores - margins)
    if absolute_margin is not None or relative_margin is not None:
        limits[pairs[:, 1] < 0] = -np.inf

    chosen = np.full((len(pairs), n_negatives), -1, np.int64)
    ranks = np.zeros(chosen.shape, np.int64)
    scores = np.zeros(chosen.shape)
    generator = np.random.default_rng(seed)
    for block, rows, found in negatives.blocks(
        anchors, anchor_codes, pairs[:, 0], stop
    ):
        rows, values = rows[:, start:], to_score(found[:, start:].astype(np.float64))
        passed = (rows >= 0) & (values <= limits[block][:, None])
        if min_score is not None:
            passed &= values >= min_score
        keys = np.arange(rows.shape[1]) * np.ones((len(rows), 1))
        if sampling == "random":
            keys = generator.random(rows.shape)
        places = np.argsort(np.where(passed, keys, np.inf), axis=1, kind="stable")
        places = places[:, :n_negatives]
        # Back in the order of their ranks, what did not pass behind.
        places += rows.shape[1] * ~np.take_along_axis(passed, places, 1)
        places.sort(axis=1)
        kept = places < rows.shape[1]
        places %= rows.shape[1]
        width = places.shape[1]
        taken = np.take_along_axis(rows, places, 1)
        chosen[block, :width] = np.where(kept, taken, -1)
        ranks[block, :width] = places + start
        scores[block, :width] = np.take_along_axis(values, places, 1)
    table = None
    if return_scores:
        table = _table(pairs, chosen, ranks, positive_scores, scores)
    return HardNegatives(pairs[:, 0], pairs[:, 1], chosen, table)


def _table(
    pairs: np.ndarray,
    chosen: np.ndarray,
    ranks: np.ndarray,
    positive_scores: np.ndarray,
    scores: np.ndarray,
) -> dict[str, np.ndarray]:
    """Columns with one entry a negative."""
    owners, places = np.nonzero(chosen >= 0)
    return {
        "anchor": pairs[owners, 0],
        "positive": pairs[owners, 1],
        "negative": chosen[owners, places],
        "rank": ranks[owners, places],
        "positive_score": positive_scores[owners],
        "negative_score": scores[owners, places],
    }
