"""Retrieval metrics, as objects, of neighbours that were looked up."""

from collections.abc import Iterable, Sequence
from typing import Any

from tensorflow_similarity._core import doors
from tensorflow_similarity.evaluators.lookup_arrays import labels_and_distances
from tensorflow_similarity.retrieval_metrics import RetrievalMetric
from tensorflow_similarity.retrieval_metrics.utils import compute_match_mask
from tensorflow_similarity.types import Lookups


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
    labels, distances = labels_and_distances(lookups)
    given: Any = metrics
    asked: list[Any] = list(given) if isinstance(given, Iterable) else [given]
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
