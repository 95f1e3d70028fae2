"""Whether the matches that were retrieved come first."""

import keras
import numpy as np

from tensorflow_similarity.retrieval_metrics.ndcg import discounted
from tensorflow_similarity.retrieval_metrics.retrieval_metric import RetrievalMetric


@keras.saving.register_keras_serializable(package="tensorflow_similarity")
class BNDCG(RetrievalMetric):
    """Binary normalised discounted cumulative gain over the k nearest neighbours.

    ndcg@k = sum_j match_j / log2(j + 1)  /  the same sum with these matches first

    It judges the order of what was retrieved: matches that are missing among the k cost
    nothing, and a query without any match has the value 0. `NDCG` compares with the
    best order of all relevant items. The arguments are those of `RetrievalMetric`.

    Example:

    >>> BNDCG(k=3, distance_threshold=0.5)
    ndcg@k : ndcg@3 : distance_threshold@0.5

    Reference:
        Jarvelin and Kekalainen, "Cumulated Gain-Based Evaluation of IR Techniques",
        TOIS 2002.
    """

    default_name = "ndcg"
    default_canonical_name = "ndcg@k"

    def per_query(self, grades: np.ndarray, query_labels: np.ndarray) -> np.ndarray:
        self._check_binary(grades)
        gains = grades[:, : self.k]
        ideal = discounted(-np.sort(-gains, axis=1))
        found = discounted(gains)
        return np.divide(found, ideal, out=np.zeros_like(found), where=ideal > 0)
