"""Share of accepted queries among those that would get their own label."""

import keras
import numpy as np

from tensorflow_similarity.classification_metrics.classification_metric import (
    ClassificationMetric,
    share,
)


@keras.saving.register_keras_serializable(package="tensorflow_similarity")
class Recall(ClassificationMetric):
    """Share of accepted queries among those that would get their own label.

        recall = tp / (tp + fn)

    It always reaches 1: a query whose neighbours are of another class does not count. 0
    where no query would get its own label.

    Args:
        name: str, the key of its values in results.
    """

    def __init__(self, name: str = "recall"):
        super().__init__(name, "recall")

    def compute(
        self, tp: np.ndarray, fp: np.ndarray, tn: np.ndarray, fn: np.ndarray, count: int
    ) -> np.ndarray:
        """The value at each threshold."""
        return share(tp, tp + fn)

    def trials(
        self, tp: np.ndarray, fp: np.ndarray, tn: np.ndarray, fn: np.ndarray, count: int
    ) -> np.ndarray:
        """Of how many queries it is a share."""
        return tp + fn
