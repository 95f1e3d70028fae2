"""One over the place of the first match."""

import keras
import numpy as np

from tensorflow_similarity.retrieval_metrics.retrieval_metric import RetrievalMetric


@keras.saving.register_keras_serializable(package="tensorflow_similarity")
class MeanReciprocalRank(RetrievalMetric):
    """The mean of one over the place of the first match among the k nearest.

    mrr@k = 1 / place of the first match, 0 if there is none among the k

    The arguments are those of `RetrievalMetric`.

    Example:

    >>> metric = MeanReciprocalRank(k=3)
    >>> float(
    ...     metric.compute(
    ...         query_labels=[1, 2],
    ...         lookup_labels=[[0, 1, 1], [2, 3, 2]],
    ...         lookup_distances=[[0.1, 0.2, 0.3], [0.1, 0.2, 0.3]],
    ...         match_mask=[[False, True, True], [True, False, True]],
    ...     )
    ... )
    0.75

    Reference:
        Voorhees, "The TREC-8 Question Answering Track Report", TREC 1999.
    """

    default_name = "mrr"
    default_canonical_name = "mrr@k"

    def per_query(self, grades: np.ndarray, query_labels: np.ndarray) -> np.ndarray:
        self._check_binary(grades)
        places = np.arange(1, grades.shape[1] + 1)[: self.k]
        return (grades[:, : self.k] / places).max(axis=1)
