"""Pictures of what the index finds and of where embeddings lie."""

from tensorflow_similarity.visualization.layout import Layout
from tensorflow_similarity.visualization.neighbors import (
    viz_neigbors_imgs,
    viz_neighbors_imgs,
)
from tensorflow_similarity.visualization.projection import Projection
from tensorflow_similarity.visualization.projector import projector

__all__ = [
    "Layout",
    "Projection",
    "projector",
    "viz_neigbors_imgs",
    "viz_neighbors_imgs",
]
