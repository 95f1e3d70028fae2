"""Share of all queries that are accepted with their own label."""

import keras
import numpy as np

from tensorflow_similarity.classification_metrics.classification_metric import (
    ClassificationMetric,
    share,
)


@keras.saving.register_keras_serializable(package="tensorflow_similarity")
class BinaryAccuracy(ClassificationMetric):
    """Share of all queries that are accepted with their own label.

        binary_accuracy = tp / count

    Queries of unknown classes count against it, refused or not.

    Args:
        name: str, the key of its values in results.
    """

    def __init__(self, name: str = "binary_accuracy"):
        super().__init__(name, "binary_accuracy")

    def compute(
        self, tp: np.ndarray, fp: np.ndarray, tn: np.ndarray, fn: np.ndarray, count: int
    ) -> np.ndarray:
        """The value at each threshold."""
        return share(tp, np.asarray(count))

    def trials(
        self, tp: np.ndarray, fp: np.ndarray, tn: np.ndarray, fn: np.ndarray, count: int
    ) -> np.ndarray:
        """Of how many queries it is a share."""
        return np.broadcast_to(float(count), np.shape(tp))
