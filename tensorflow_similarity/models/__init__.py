"""Keras models that know their neighbours."""

from tensorflow_similarity.models.similarity_mixin import SimilarityMixin
from tensorflow_similarity.models.similarity_model import SimilarityModel
from tensorflow_similarity.models.two_tower_model import TwoTowerModel

__all__ = ["SimilarityMixin", "SimilarityModel", "TwoTowerModel"]
