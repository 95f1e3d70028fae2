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
from tensorflow_similarity.evaluators.hubness import (
    hubness,
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

__all__ = [
    "ClassConfusion",
    "ClassTable",
    "Evaluator",
    "HardNegatives",
    "MemoryEvaluator",
    "adaptive_threshold",
    "augment_database",
    "bootstrap_interval",
    "calibrate",
    "calibrate_distances",
    "calibrate_lookups",
    "class_confusion",
    "clustering_scores",
    "evaluate_lookups",
    "evaluate_retrieval",
    "expand_queries",
    "fit_probability",
    "hubness",
    "match",
    "match_lookups",
    "mine_hard_negatives",
    "rerank",
    "within_threshold",
]
