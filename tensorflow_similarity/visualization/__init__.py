"""Pictures of what an index finds, of where embeddings lie, of how good they are."""

from tensorflow_similarity.visualization.confusion_matrix import confusion_matrix
from tensorflow_similarity.visualization.embedding_report import EmbeddingReport
from tensorflow_similarity.visualization.layout import Layout
from tensorflow_similarity.visualization.neighbors import (
    viz_neigbors_imgs,
    viz_neighbors_imgs,
)
from tensorflow_similarity.visualization.neighbors_gallery import (
    NeighborsGallery,
    neighbors_gallery,
)
from tensorflow_similarity.visualization.plot_calibration import plot_calibration
from tensorflow_similarity.visualization.plot_det import plot_det
from tensorflow_similarity.visualization.plot_distances import plot_distances
from tensorflow_similarity.visualization.plot_history import plot_history
from tensorflow_similarity.visualization.plot_precision_recall import (
    plot_precision_recall,
)
from tensorflow_similarity.visualization.plot_recall_latency import plot_recall_latency
from tensorflow_similarity.visualization.plot_retrieval_by_class import (
    plot_retrieval_by_class,
)
from tensorflow_similarity.visualization.plot_roc import plot_roc
from tensorflow_similarity.visualization.projection import Projection
from tensorflow_similarity.visualization.projector import projector
from tensorflow_similarity.visualization.report import report
from tensorflow_similarity.visualization.visualize_views import (
    visualize_views,
    vizualize_views,
)

__all__ = [
    "EmbeddingReport",
    "Layout",
    "NeighborsGallery",
    "Projection",
    "confusion_matrix",
    "neighbors_gallery",
    "plot_calibration",
    "plot_det",
    "plot_distances",
    "plot_history",
    "plot_precision_recall",
    "plot_recall_latency",
    "plot_retrieval_by_class",
    "plot_roc",
    "projector",
    "report",
    "visualize_views",
    "viz_neigbors_imgs",
    "viz_neighbors_imgs",
    "vizualize_views",
]
