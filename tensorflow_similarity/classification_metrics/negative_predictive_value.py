"""Share of queries rightly refused among those that are refused."""

import keras
import numpy as np

from tensorflow_similarity.classification_metrics.classification_metric import (
    ClassificationMetric,
    share,
)


@keras.saving.register_keras_serializable(package="tensorflow_similarity")
class NegativePredictiveValue(ClassificationMetric):
    """Share of queries rightly refused among those that are refused.

        npv = tn / (tn + fn)

    0 where none is refused.

    Args:
        name: str, the key of its values in results.
    """

    def __init__(self, name: str = "npv"):
        super().__init__(name, "negative_predictive_value")

    def compute(
        self, tp: np.ndarray, fp: np.ndarray, tn: np.ndarray, fn: np.ndarray, count: int
    ) -> np.ndarray:
        """The value at each threshold."""
        return share(tn, tn + fn)

    def trials(
        self, tp: np.ndarray, fp: np.ndarray, tn: np.ndarray, fn: np.ndarray, count: int
    ) -> np.ndarray:
        """Of how many queries it is a share."""
        return tn + fn
