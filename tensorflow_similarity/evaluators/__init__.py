"""Judging embeddings: exact retrieval metrics over plain arrays."""

from tensorflow_similarity.evaluators.bootstrap import (
    bootstrap_interval,
)
from tensorflow_similarity.evaluators.class_confusion import (
    ClassConfusion,
    class_confusion,
)
from tensorflow_similarity.evaluators.hard_negatives import (
    HardNegatives,
    mine_hard_negatives,
)
from tensorflow_similarity.evaluators.post_processing_expansion import (
    augment_database,
    expand_queries,
)
from tensorflow_similarity.evaluators.post_processing_reranking import (
    rerank,
)
from tensorflow_similarity.evaluators.post_processing_threshold import (
    adaptive_threshold,
    within_threshold,
)
from tensorflow_similarity.evaluators.retrieval import (
    evaluate_retrieval,
)

__all__ = [
    "ClassConfusion",
    "HardNegatives",
    "adaptive_threshold",
    "augment_database",
    "bootstrap_interval",
    "class_confusion",
    "evaluate_retrieval",
    "expand_queries",
    "mine_hard_negatives",
    "rerank",
    "within_threshold",
]
