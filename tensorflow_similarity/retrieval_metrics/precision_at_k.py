"""The share of the neighbours that are of the right class."""

import keras
import numpy as np

from tensorflow_similarity.retrieval_metrics.class_counts import ClassCountMetric


@keras.saving.register_keras_serializable(package="tensorflow_similarity")
class PrecisionAtK(ClassCountMetric):
    """The share of matches among the k nearest neighbours.

    precision@k = matches among the first k / k
    with `r`    : matches among the first k / R
    clip_at_r   : matches among the first R / R, which is R-precision

    Of fewer than k columns, after the closest was dropped, the share is over those
    there are. The further arguments are those of `RetrievalMetric`.

    Args:
        r: items of each class in the index, a dict by label. With
            `drop_closest_lookup`, R is one less: the query itself. A query with R = 0
            has the value 0. Defaults to None: divide by k.
        clip_at_r: True counts R neighbours of each query, whatever k; needs `r`, and at
            least R columns. Defaults to False.

    Raises:
        ValueError: for `clip_at_r` without `r`, and what `RetrievalMetric` refuses; on
            a call, for a class that `r` lacks, more matches than `r` says, or fewer
            than R columns.

    Example:

    >>> metric = PrecisionAtK(r={"cat": 2, "dog": 2}, clip_at_r=True)
    >>> float(
    ...     metric.compute(
    ...         query_labels=["cat"],
    ...         lookup_labels=[["cat", "dog", "cat", "dog", "dog"]],
    ...         lookup_distances=[[0.1, 0.2, 0.3, 0.4, 0.5]],
    ...         match_mask=[[True, False, True, False, False]],
    ...     )
    ... )
    0.5

    Reference:
        Musgrave et al., "A Metric Learning Reality Check", ECCV 2020 (R-precision).
    """

    default_name = "precision"
    default_canonical_name = "precision@k"

    def per_query(self, grades: np.ndarray, query_labels: np.ndarray) -> np.ndarray:
        self._check_binary(grades)
        if self.r is None:
            return grades[:, : self.k].mean(axis=1)
        relevant = self._relevant(query_labels)
        self._check_counts(grades, query_labels)
        matches = self._counted(grades, relevant).sum(axis=1)
        values = np.divide(
            matches, relevant, out=np.zeros_like(matches), where=relevant > 0
        )
        # Where a copy of the query was dropped, the query is one match too many.
        return np.minimum(values, 1.0)
