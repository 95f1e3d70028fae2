"""Judging embeddings: exact retrieval metrics over plain arrays."""

from tensorflow_similarity.evaluators.retrieval import evaluate_retrieval

__all__ = ["evaluate_retrieval"]
