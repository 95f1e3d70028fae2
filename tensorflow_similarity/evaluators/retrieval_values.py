"""The metrics of each query, from the gains of its neighbours in order."""

from collections.abc import Sequence

import numpy as np


def metric_names(ks: Sequence[int], whole_ranking: bool) -> list[str]:
    """Names in the order in which `values` gives them."""
    names = [f"precision_at_{k}" for k in ks] + [f"recall_at_{k}" for k in ks]
    names += ["r_precision", "mean_average_precision_at_r"]
    names += [f"ndcg_at_{k}" for k in ks] + ["mean_reciprocal_rank"]
    return names + ["mean_average_precision"] * whole_ranking


def values(
    gains: np.ndarray,
    n_relevant: np.ndarray,
    ideal: np.ndarray,
    ks: Sequence[int],
    whole_ranking: bool,
) -> np.ndarray:
    """Metrics by query, float64, shape (n, n_metrics), in the order of their names.

    Args:
        gains: bool, or numbers of at least 0, shape (n, depth), nearest first.
        n_relevant: R of each query, at least 1 and, at the place of the largest, at
            most the depth.
        ideal: the largest gains there are, shape (n, largest k), descending.
        ks: ascending.
        whole_ranking: whether the depth is all items.
    """
    relevant = gains if gains.dtype == bool else gains > 0
    n, depth = relevant.shape
    hits = np.cumsum(relevant, axis=1, dtype=np.int32)
    ends = [min(k, depth) for k in ks]
    columns = [hits[:, end - 1] / end for end in ends]
    columns += [(hits[:, end - 1] > 0).astype(np.float64) for end in ends]
    columns.append(hits[np.arange(n), n_relevant - 1] / n_relevant)

    # Precision at the places of the relevant items: for few hits a short list.
    flat = np.flatnonzero(relevant)
    starts = np.searchsorted(flat, np.arange(n + 1) * depth)
    query = np.repeat(np.arange(n), np.diff(starts))
    place = flat - query * depth + 1
    precisions = hits.ravel()[flat] / place
    within = precisions * (place <= n_relevant[query])
    columns.append(np.bincount(query, within, n) / n_relevant)
    columns += _ndcg(gains, ideal, ks)

    any_hit = np.flatnonzero(np.diff(starts))
    reciprocal = np.zeros(n)
    reciprocal[any_hit] = 1.0 / place[starts[any_hit]]
    columns.append(reciprocal)
    if whole_ranking:
        columns.append(np.bincount(query, precisions, n) / n_relevant)
    return np.stack(columns, axis=1)


def _ndcg(gains: np.ndarray, ideal: np.ndarray, ks: Sequence[int]) -> list[np.ndarray]:
    discounts = 1.0 / np.log2(np.arange(2, ks[-1] + 2))
    found = np.cumsum(gains[:, : ks[-1]] * discounts[: gains.shape[1]], axis=1)
    best = np.cumsum(ideal * discounts[: ideal.shape[1]], axis=1)
    columns = [
        found[:, min(k, found.shape[1]) - 1] / best[:, min(k, best.shape[1]) - 1]
        for k in ks
    ]
    # Sums of the same numbers in another order may differ by their rounding.
    return [np.minimum(column, 1.0) for column in columns]


def first_places(distances: np.ndarray, relevant: np.ndarray) -> np.ndarray:
    """The place of the nearest relevant item, from 1, equal distances by position.

    Args:
        distances: shape (n, n_items).
        relevant: bool, same shape, at least one in a row.
    """
    theirs = np.where(relevant, distances, np.inf)
    at = theirs.argmin(axis=1)[:, None]
    nearest = np.take_along_axis(theirs, at, 1)
    earlier = np.arange(distances.shape[1]) < at
    before = (distances < nearest) | ((distances == nearest) & earlier)
    return np.asarray(1 + np.count_nonzero(before, axis=1))
