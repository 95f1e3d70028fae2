"""Judging embeddings: exact retrieval metrics over plain arrays."""

from tensorflow_similarity.evaluators.post_processing_expansion import (
    augment_database,
    expand_queries,
)
from tensorflow_similarity.evaluators.post_processing_reranking import rerank
from tensorflow_similarity.evaluators.post_processing_threshold import (
    adaptive_threshold,
    within_threshold,
)
from tensorflow_similarity.evaluators.retrieval import evaluate_retrieval

__all__ = [
    "adaptive_threshold",
    "augment_database",
    "evaluate_retrieval",
    "expand_queries",
    "rerank",
    "within_threshold",
]
