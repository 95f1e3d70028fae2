"""Retrieval metrics, as objects, of neighbours that were looked up."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tensorflow_similarity._core import doors
from tensorflow_similarity.retrieval_metrics import RetrievalMetric
from tensorflow_similarity.retrieval_metrics.utils import compute_match_mask
from tensorflow_similarity.types import NO_LABEL, Lookups


def evaluate_lookups(
    lookups: Lookups | Sequence[Sequence[Any]],
    query_labels: Any,
    metrics: RetrievalMetric | Sequence[RetrievalMetric],
    *,
    relevance: Any = None,
) -> dict[str, float]:
    """What retrieval metrics say about the neighbours that an index found.

    A neighbour is a match when it has the label of its query; a missing neighbour, and
    one without a label, is no match. What an approximate index did not find is missing
    here: `evaluate_retrieval` judges embeddings by exact search.

    Args:
        lookups: the answer of `lookup`, or a list of a list of `Lookup` for each query;
            shorter lists end in missing neighbours.
        query_labels: integers or strings, one for each query.
        metrics: one or several.
        relevance: grades of at least 0 of the neighbours, shape (n_queries, k), for
            `NDCG`, in place of matches. Defaults to None.

    Returns:
        Floats by the metrics' names.

    Raises:
        ValueError: for no query, another number of labels, fewer neighbours than k, or
            two metrics of one name.
        TypeError: for something that is not a metric, or labels of two kinds.

    Example:
        >>> from tensorflow_similarity.retrieval_metrics import RecallAtK
        >>> from tensorflow_similarity.types import Lookup
        >>> lookups = [[Lookup(rank=1, distance=0.1, label=3)]]
        >>> evaluate_lookups(lookups, [3], RecallAtK(k=1))
        {'recall@1': 1.0}
    """
    labels, distances = as_arrays(lookups)
    asked = [metrics] if isinstance(metrics, RetrievalMetric) else list(metrics)
    for metric in asked:
        if not isinstance(metric, RetrievalMetric):
            raise TypeError(
                "`metrics` must be retrieval metrics, such as RecallAtK(k=1). "
                f"Received: {metric!r}."
            )
    names = [metric.name for metric in asked]
    if len(set(names)) < len(names):
        raise ValueError(
            f"`metrics` must have distinct names. Received: {names}. Give one another "
            "name by `name=`."
        )
    queries = doors.as_labels(query_labels, len(labels), "query_labels")
    mask = compute_match_mask(queries, labels) if relevance is None else relevance
    return {
        metric.name: float(
            metric.compute(
                query_labels=queries,
                lookup_labels=labels,
                lookup_distances=distances,
                match_mask=mask,
            )
        )
        for metric in asked
    }


def as_arrays(
    lookups: Lookups | Sequence[Sequence[Any]],
) -> tuple[np.ndarray, np.ndarray]:
    """Labels and distances (n_queries, k); where missing, no label and infinity."""
    if isinstance(lookups, Lookups):
        none: Any = None if lookups.labels.dtype == object else NO_LABEL
        labels = np.where(lookups.found, lookups.labels, none)
        return labels, np.where(lookups.found, lookups.distances, np.inf)
    rows = [list(row) for row in lookups]
    k = max(map(len, rows), default=0)
    shape = (len(rows), k)
    distances = np.full(shape, np.inf, np.float32)
    flat: list[Any] = []
    for i, row in enumerate(rows):
        distances[i, : len(row)] = [neighbour.distance for neighbour in row]
        flat += [neighbour.label for neighbour in row] + [None] * (k - len(row))
    return doors.as_labels(flat, len(flat), "lookups").reshape(shape), distances
