"""Values at thresholds, from counts of queries told right and wrong."""

from typing import Any

import keras

from tensorflow_similarity._core import doors
from tensorflow_similarity._core.remade import from_config
from tensorflow_similarity.classification_metrics.binary_accuracy import BinaryAccuracy
from tensorflow_similarity.classification_metrics.classification_metric import (
    ClassificationMetric,
)
from tensorflow_similarity.classification_metrics.f1_score import F1Score
from tensorflow_similarity.classification_metrics.false_positive_rate import (
    FalsePositiveRate,
)
from tensorflow_similarity.classification_metrics.negative_predictive_value import (
    NegativePredictiveValue,
)
from tensorflow_similarity.classification_metrics.precision import Precision
from tensorflow_similarity.classification_metrics.recall import Recall

__all__ = [
    "BinaryAccuracy",
    "ClassificationMetric",
    "F1Score",
    "FalsePositiveRate",
    "NegativePredictiveValue",
    "Precision",
    "Recall",
    "deserialize",
    "make_classification_metric",
    "serialize",
]

_BY_NAME: dict[str, Any] = {
    "binary_accuracy": BinaryAccuracy,
    "f1": F1Score,
    "f1_score": F1Score,
    "f1score": F1Score,
    "false_positive_rate": FalsePositiveRate,
    "fpr": FalsePositiveRate,
    # As existing programs spell it, and as it is spelt.
    "negative_predicitve_value": NegativePredictiveValue,
    "negative_predictive_value": NegativePredictiveValue,
    "npv": NegativePredictiveValue,
    "precision": Precision,
    "recall": Recall,
}


def make_classification_metric(
    metric: str | ClassificationMetric, name: str = ""
) -> ClassificationMetric:
    """The metric that a name stands for; a metric itself is returned as it is.

    Args:
        metric: a `ClassificationMetric`, or a name in any case: "precision", "recall",
            "f1" ("f1_score", "f1score"), "binary_accuracy", "fpr"
            ("false_positive_rate"), "npv" ("negative_predictive_value").
        name: what the metric is called in results. Defaults to "": as it is named in
            `metric`, in lower case.

    Raises:
        ValueError: for an unknown name.
        TypeError: for something that is neither a name nor a metric.

    Example:

    >>> make_classification_metric("f1score")
    F1Score(name='f1score')
    """
    if isinstance(metric, ClassificationMetric):
        return metric
    made: ClassificationMetric = doors.known(metric, "metric", _BY_NAME)(
        name or metric.strip().lower()
    )
    return made


def serialize(metric: ClassificationMetric) -> dict[str, Any]:
    """A JSON-able dict from which `deserialize` makes an equal metric."""
    config: dict[str, Any] = keras.saving.serialize_keras_object(metric)
    return config


def deserialize(config: dict[str, Any]) -> ClassificationMetric:
    """The metric that `serialize` described.

    Raises:
        ValueError: if it describes something else, or a class that Keras does not know.
    """
    made: ClassificationMetric = from_config(config, ClassificationMetric, "metric")
    return made
