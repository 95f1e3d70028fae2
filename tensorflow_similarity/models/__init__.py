"""Keras models that know their neighbours."""

from tensorflow_similarity.models.similarity_mixin import SimilarityMixin
from tensorflow_similarity.models.similarity_model import SimilarityModel

__all__ = ["SimilarityMixin", "SimilarityModel"]
