"""Whether a neighbour of the right class is among the k nearest."""

import keras
import numpy as np

from tensorflow_similarity.retrieval_metrics.retrieval_metric import RetrievalMetric


@keras.saving.register_keras_serializable(package="tensorflow_similarity")
class RecallAtK(RetrievalMetric):
    """The share of queries that have a match among their k nearest neighbours.

    recall@k = 1 if one of the k neighbours is a match, else 0

    Metric learning calls this recall@k, or top-k accuracy; it is not the share of the
    relevant items that was found.

    The arguments are those of `RetrievalMetric`.

    Example:

    >>> RecallAtK(k=3)
    recall@k : recall@3

    Reference:
        Jegou et al., "Product Quantization for Nearest Neighbor Search", TPAMI 2011.
    """

    default_name = "recall"
    default_canonical_name = "recall@k"

    def per_query(self, grades: np.ndarray, query_labels: np.ndarray) -> np.ndarray:
        self._check_binary(grades)
        return grades[:, : self.k].max(axis=1)
