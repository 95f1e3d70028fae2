"""Share of right labels among the queries that are accepted."""

import keras
import numpy as np

from tensorflow_similarity.classification_metrics.classification_metric import (
    ClassificationMetric,
    share,
)


@keras.saving.register_keras_serializable(package="tensorflow_similarity")
class Precision(ClassificationMetric):
    """Share of right labels among the queries that are accepted.

        precision = tp / (tp + fp)

    Where nothing is accepted it is 0; with several thresholds of which the first
    accepts nothing, it is 1 there: a curve of precision over recall begins at 1.

    Args:
        name: str, the key of its values in results.
    """

    def __init__(self, name: str = "precision"):
        super().__init__(name, "precision", increasing=False)

    def compute(
        self, tp: np.ndarray, fp: np.ndarray, tn: np.ndarray, fn: np.ndarray, count: int
    ) -> np.ndarray:
        """The value at each threshold."""
        accepted = np.add(tp, fp)
        precision = share(tp, accepted)
        if precision.ndim and len(precision) > 1 and accepted[0] == 0:
            precision[0] = 1.0
        return precision

    def trials(
        self, tp: np.ndarray, fp: np.ndarray, tn: np.ndarray, fn: np.ndarray, count: int
    ) -> np.ndarray:
        """Of how many queries it is a share."""
        return tp + fp
