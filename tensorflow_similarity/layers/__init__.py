"""Layers of embedding models."""

from tensorflow_similarity.layers.metric_embedding import MetricEmbedding

__all__ = ["MetricEmbedding"]
