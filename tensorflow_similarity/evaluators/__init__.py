"""Judging embeddings: exact retrieval metrics over plain arrays."""

from tensorflow_similarity.evaluators.bootstrap import bootstrap_interval
from tensorflow_similarity.evaluators.class_table import ClassTable
from tensorflow_similarity.evaluators.clustering import clustering_scores
from tensorflow_similarity.evaluators.hubness import hubness
from tensorflow_similarity.evaluators.lookup_metrics import evaluate_lookups
from tensorflow_similarity.evaluators.retrieval import evaluate_retrieval

__all__ = [
    "ClassTable",
    "bootstrap_interval",
    "clustering_scores",
    "evaluate_lookups",
    "evaluate_retrieval",
    "hubness",
]
