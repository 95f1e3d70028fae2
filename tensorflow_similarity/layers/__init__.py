"""Layers of embedding models."""

from tensorflow_similarity.layers.activation_std_logging_layer import (
    ActivationStdLoggingLayer,
)
from tensorflow_similarity.layers.metric_embedding import MetricEmbedding
from tensorflow_similarity.layers.pooling import (
    GeneralizedMeanPooling,
    GeneralizedMeanPooling1D,
    GeneralizedMeanPooling2D,
)

__all__ = [
    "ActivationStdLoggingLayer",
    "GeneralizedMeanPooling",
    "GeneralizedMeanPooling1D",
    "GeneralizedMeanPooling2D",
    "MetricEmbedding",
]
