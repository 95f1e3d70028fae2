"""Judging embeddings: retrieval metrics and thresholds over plain arrays."""

from tensorflow_similarity.evaluators.bootstrap import (
    bootstrap_interval,
)
from tensorflow_similarity.evaluators.calibrate_distances import (
    calibrate_distances,
)
from tensorflow_similarity.evaluators.calibration import (
    calibrate,
    calibrate_lookups,
    match,
)
from tensorflow_similarity.evaluators.class_confusion import (
    ClassConfusion,
    class_confusion,
)
from tensorflow_similarity.evaluators.class_table import (
    ClassTable,
)
from tensorflow_similarity.evaluators.clustering import (
    clustering_scores,
)
from tensorflow_similarity.evaluators.evaluator import (
    Evaluator,
)
from tensorflow_similarity.evaluators.hard_negatives import (
    HardNegatives,
    mine_hard_negatives,
)
from tensorflow_similarity.evaluators.health import embedding_health
from tensorflow_similarity.evaluators.health_neighbours import (
    NearDuplicate,
    SuspectLabel,
)
from tensorflow_similarity.evaluators.health_report import EmbeddingHealth
from tensorflow_similarity.evaluators.hubness import (
    hubness,
)
from tensorflow_similarity.evaluators.k_fold_accuracy import (
    FoldAccuracies,
    k_fold_accuracy,
)
from tensorflow_similarity.evaluators.lookup_metrics import (
    evaluate_lookups,
)
from tensorflow_similarity.evaluators.matching import (
    match_lookups,
)
from tensorflow_similarity.evaluators.memory_evaluator import (
    MemoryEvaluator,
)
from tensorflow_similarity.evaluators.open_set import evaluate_open_set
from tensorflow_similarity.evaluators.open_set_results import OpenSetResults
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
from tensorflow_similarity.evaluators.probability import (
    fit_probability,
)
from tensorflow_similarity.evaluators.retrieval import (
    evaluate_retrieval,
)
from tensorflow_similarity.evaluators.verification import (
    evaluate_pairs,
    evaluate_verification,
)
from tensorflow_similarity.evaluators.verification_results import VerificationResults

__all__ = [
    "ClassConfusion",
    "ClassTable",
    "EmbeddingHealth",
    "Evaluator",
    "FoldAccuracies",
    "HardNegatives",
    "MemoryEvaluator",
    "NearDuplicate",
    "OpenSetResults",
    "SuspectLabel",
    "VerificationResults",
    "adaptive_threshold",
    "augment_database",
    "bootstrap_interval",
    "calibrate",
    "calibrate_distances",
    "calibrate_lookups",
    "class_confusion",
    "clustering_scores",
    "embedding_health",
    "evaluate_lookups",
    "evaluate_open_set",
    "evaluate_pairs",
    "evaluate_retrieval",
    "evaluate_verification",
    "expand_queries",
    "fit_probability",
    "hubness",
    "k_fold_accuracy",
    "match",
    "match_lookups",
    "mine_hard_negatives",
    "rerank",
    "within_threshold",
]
