"""Precision at the place of each match, averaged."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import keras
import numpy as np

from tensorflow_similarity.retrieval_metrics.class_counts import ClassCountMetric


@keras.saving.register_keras_serializable(package="tensorflow_similarity")
class MapAtK(ClassCountMetric):
    """Mean average precision over the k nearest neighbours.

    map@k     = sum over j <= k of precision_at_j * (the j-th is a match) / R
    clip_at_r : the same over j <= R, which is MAP@R

    R is how many items of the query's class are indexed, from `r`; without `r`, how
    many matches there are among the k. A query with R = 0 has the value 0. The further
    arguments are those of `RetrievalMetric`.

    Args:
        r: items of each class in the index, a dict by label. With
            `drop_closest_lookup`, R is one less: the query itself. Defaults to None.
        clip_at_r: True counts R neighbours of each query, whatever k; needs `r`, and at
            least R columns. Defaults to False.
        average: "micro" alone.

    Raises:
        ValueError: for `average="macro"`, `clip_at_r` without `r`, and what
            `RetrievalMetric` refuses; on a call, for a class that `r` lacks, more
            matches than `r` says, or fewer than R columns.

    Example:

    >>> metric = MapAtK(r={"cat": 2, "dog": 2}, clip_at_r=True)
    >>> metric
    map@k : map

    Reference:
        Musgrave et al., "A Metric Learning Reality Check", ECCV 2020 (MAP@R).
    """

    default_name = "map"
    default_canonical_name = "map@k"

    def __init__(
        self,
        name: str = "",
        canonical_name: str = "",
        k: int = 5,
        distance_threshold: float = math.inf,
        average: str = "micro",
        drop_closest_lookup: bool = False,
        r: Mapping[Any, int] | Iterable[tuple[Any, int]] | None = None,
        clip_at_r: bool = False,
    ):
        if average == "macro":
            raise ValueError(
                "`average` of MapAtK must be 'micro'. Received: average='macro'. "
                "`evaluators.evaluate_retrieval(..., average='macro')` averages MAP@R "
                "over classes."
            )
        super().__init__(
            name,
            canonical_name,
            k,
            distance_threshold,
            average,
            drop_closest_lookup,
            r,
            clip_at_r,
        )

    def per_query(self, grades: np.ndarray, query_labels: np.ndarray) -> np.ndarray:
        self._check_binary(grades)
        if self.r is None:
            counted = grades[:, : self.k]
            relevant = counted.sum(axis=1)
        else:
            relevant = self._relevant(query_labels)
            self._check_counts(grades, query_labels)
            counted = self._counted(grades, relevant)
        places = np.arange(1, counted.shape[1] + 1)
        total = (counted * np.cumsum(counted, axis=1) / places).sum(axis=1)
        values = np.divide(
            total, relevant, out=np.zeros_like(total), where=relevant > 0
        )
        # Where a copy of the query was dropped, the query is one match too many.
        return np.minimum(values, 1.0)
