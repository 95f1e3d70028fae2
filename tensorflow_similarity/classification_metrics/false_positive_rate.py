"""Share of accepted queries among those that would get another label."""

import keras
import numpy as np

from tensorflow_similarity.classification_metrics.classification_metric import (
    ClassificationMetric,
    share,
)


@keras.saving.register_keras_serializable(package="tensorflow_similarity")
class FalsePositiveRate(ClassificationMetric):
    """Share of accepted queries among those that would get another label.

        fpr = fp / (fp + tn)

    These are the queries of classes that are not indexed, and the others that their
    neighbours mislead. 0 where there is none of them.

    Args:
        name: str, the key of its values in results.
    """

    def __init__(self, name: str = "fpr"):
        super().__init__(name, "false_positive_rate", maximize=False)

    def compute(
        self, tp: np.ndarray, fp: np.ndarray, tn: np.ndarray, fn: np.ndarray, count: int
    ) -> np.ndarray:
        """The value at each threshold."""
        return share(fp, fp + tn)

    def trials(
        self, tp: np.ndarray, fp: np.ndarray, tn: np.ndarray, fn: np.ndarray, count: int
    ) -> np.ndarray:
        """Of how many queries it is a share."""
        return fp + tn
