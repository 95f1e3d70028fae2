"""Metrics of neighbours that were looked up, as objects."""

from tensorflow_similarity.retrieval_metrics.bndcg import BNDCG
from tensorflow_similarity.retrieval_metrics.map_at_k import MapAtK
from tensorflow_similarity.retrieval_metrics.mean_reciprocal_rank import (
    MeanReciprocalRank,
)
from tensorflow_similarity.retrieval_metrics.ndcg import NDCG
from tensorflow_similarity.retrieval_metrics.precision_at_k import PrecisionAtK
from tensorflow_similarity.retrieval_metrics.recall_at_k import RecallAtK
from tensorflow_similarity.retrieval_metrics.retrieval_metric import RetrievalMetric

__all__ = [
    "BNDCG",
    "MapAtK",
    "MeanReciprocalRank",
    "NDCG",
    "PrecisionAtK",
    "RecallAtK",
    "RetrievalMetric",
]
