"""Harmonic mean of precision and recall."""

import keras
import numpy as np

from tensorflow_similarity.classification_metrics.classification_metric import (
    ClassificationMetric,
    share,
)


@keras.saving.register_keras_serializable(package="tensorflow_similarity")
class F1Score(ClassificationMetric):
    """Harmonic mean of precision and recall.

        f1 = 2 tp / (2 tp + fp + fn)

    0 where both are.

    Args:
        name: str, the key of its values in results.
    """

    def __init__(self, name: str = "f1"):
        super().__init__(name, "f1_score")

    def compute(
        self, tp: np.ndarray, fp: np.ndarray, tn: np.ndarray, fn: np.ndarray, count: int
    ) -> np.ndarray:
        """The value at each threshold."""
        return share(2 * np.asarray(tp), 2 * np.asarray(tp) + fp + fn)
