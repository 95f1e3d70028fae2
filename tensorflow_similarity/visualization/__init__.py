"""Pictures of what the index finds."""

from tensorflow_similarity.visualization.neighbors import (
    viz_neigbors_imgs,
    viz_neighbors_imgs,
)

__all__ = ["viz_neigbors_imgs", "viz_neighbors_imgs"]
