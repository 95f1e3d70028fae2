"""Judging embeddings: exact retrieval metrics over plain arrays."""

from tensorflow_similarity.evaluators.health import embedding_health
from tensorflow_similarity.evaluators.health_neighbours import (
    NearDuplicate,
    SuspectLabel,
)
from tensorflow_similarity.evaluators.health_report import EmbeddingHealth
from tensorflow_similarity.evaluators.k_fold_accuracy import (
    FoldAccuracies,
    k_fold_accuracy,
)
from tensorflow_similarity.evaluators.open_set import evaluate_open_set
from tensorflow_similarity.evaluators.open_set_results import OpenSetResults
from tensorflow_similarity.evaluators.retrieval import evaluate_retrieval
from tensorflow_similarity.evaluators.verification import (
    evaluate_pairs,
    evaluate_verification,
)
from tensorflow_similarity.evaluators.verification_results import VerificationResults

__all__ = [
    "EmbeddingHealth",
    "FoldAccuracies",
    "NearDuplicate",
    "OpenSetResults",
    "SuspectLabel",
    "VerificationResults",
    "embedding_health",
    "evaluate_open_set",
    "evaluate_pairs",
    "evaluate_retrieval",
    "evaluate_verification",
    "k_fold_accuracy",
]
