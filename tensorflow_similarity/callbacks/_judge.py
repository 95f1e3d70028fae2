"""What embeddings are judged by: neighbours by exact search, and metrics of them."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from tensorflow_similarity.callbacks._keys import threshold_names
from tensorflow_similarity.distances import Distance
from tensorflow_similarity.evaluators import MemoryEvaluator
from tensorflow_similarity.evaluators.retrieval_ranking import in_threads
from tensorflow_similarity.search import LinearSearch
from tensorflow_similarity.types import Lookups

# Queries that a thread searches for at a time.
_BLOCK = 1024


@dataclass(frozen=True, eq=False)
class Judge:
    """Metrics of neighbours, by the names that they have in the logs.

    Args:
        k: neighbours that the matcher sees.
        matcher: a `ClassificationMatch`.
        thresholds: distances up to which a match counts.
        classification_metrics: of each threshold.
        retrieval_metrics: each brings a k of its own.
        evaluator: counts for both.
    """

    k: int
    matcher: Any
    thresholds: np.ndarray
    classification_metrics: list[Any]
    retrieval_metrics: list[Any]
    evaluator: MemoryEvaluator

    @property
    def n_neighbours(self) -> int:
        """How many neighbours the matcher or a metric asks for."""
        return max([self.k, *map(_n_needed, self.retrieval_metrics)])

    def lookups(
        self,
        queries: np.ndarray,
        items: np.ndarray,
        labels: np.ndarray,
        distance: Distance,
    ) -> Lookups:
        """The nearest items of each query, with the items' labels."""
        search = LinearSearch(distance, items.shape[1])
        search.batch_add(items, np.arange(len(items)))
        places = np.arange(len(queries))
        blocks = [places[i : i + _BLOCK] for i in range(0, len(places), _BLOCK)]
        answers = in_threads(
            lambda block: search.batch_lookup(queries[block], self.n_neighbours),
            blocks,
            verbose=0,
        )
        found = [answer for _, answer in answers]
        rows = np.concatenate([rows for rows, _ in found])
        return Lookups(rows, np.concatenate([d for _, d in found]), labels[rows])

    def values(self, labels: np.ndarray, lookups: Lookups | None) -> dict[str, float]:
        """Metrics of queries with these labels; NaN without lookups."""
        values: dict[str, float] = {}
        several = len(self.thresholds) > 1
        for metric in self.classification_metrics:
            for threshold in threshold_names(self.thresholds):
                name = f"{metric.name}@{threshold}" if several else metric.name
                values[name] = np.nan
        values.update({metric.name: np.nan for metric in self.retrieval_metrics})
        if lookups is None:
            return values
        if self.classification_metrics:
            judged = self.evaluator.evaluate_classification(
                labels,
                lookups.labels[:, : self.k],
                lookups.distances[:, : self.k],
                self.thresholds,
                self.classification_metrics,
                self.matcher,
                distance_rounding=None,
                verbose=0,
            )
            flat = [judged[metric.name] for metric in self.classification_metrics]
            names = list(values)[: len(flat) * len(self.thresholds)]
            columns = np.concatenate(flat).tolist()
            values.update(zip(names, columns, strict=True))
        if self.retrieval_metrics:
            ranked = self.evaluator.evaluate_retrieval(
                labels, lookups, self.retrieval_metrics
            )
            values.update({name: float(value) for name, value in ranked.items()})
        return values


def _n_needed(metric: Any) -> int:
    # Objects with `k` and `compute` alone will do.
    needed: int = metric.n_needed() if hasattr(metric, "n_needed") else metric.k
    # The nearest, left out, comes on top.
    return needed + getattr(metric, "drop_closest_lookup", False)
