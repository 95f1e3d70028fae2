"""Judging embeddings: retrieval metrics and thresholds over plain arrays."""

from tensorflow_similarity.evaluators.calibrate_distances import calibrate_distances
from tensorflow_similarity.evaluators.calibration import (
    calibrate,
    calibrate_lookups,
    match,
)
from tensorflow_similarity.evaluators.evaluator import Evaluator
from tensorflow_similarity.evaluators.matching import match_lookups
from tensorflow_similarity.evaluators.memory_evaluator import MemoryEvaluator
from tensorflow_similarity.evaluators.probability import fit_probability
from tensorflow_similarity.evaluators.retrieval import evaluate_retrieval

__all__ = [
    "Evaluator",
    "MemoryEvaluator",
    "calibrate",
    "calibrate_distances",
    "calibrate_lookups",
    "evaluate_retrieval",
    "fit_probability",
    "match",
    "match_lookups",
]
