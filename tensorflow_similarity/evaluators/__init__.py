"""Judging embeddings: exact retrieval metrics over plain arrays."""

from tensorflow_similarity.evaluators.bootstrap import bootstrap_interval
from tensorflow_similarity.evaluators.retrieval import evaluate_retrieval

__all__ = ["bootstrap_interval", "evaluate_retrieval"]
